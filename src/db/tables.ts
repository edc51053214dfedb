/** The rows as TypeScript sees them. numeric is a decimal string, timestamptz a Date. Only what the code reads or writes. */
import type { Generated } from 'kysely'

type Numeric = string
type Json = unknown

export interface OrganizationsTable {
  id: Generated<string>
  name: string
  display_name: string | null
  status: Generated<'active' | 'suspended' | 'deleted'>
  is_budgeted: Generated<boolean>
  created_at: Generated<Date>
}

export interface OrganizationMembersTable {
  id: Generated<string>
  org_id: string
  user_id: string
  role: Generated<'owner' | 'admin' | 'member' | 'billing_admin'>
  joined_at: Generated<Date>
  is_default: Generated<boolean>
}

export interface OrganizationSubscriptionsTable {
  id: Generated<string>
  org_id: string
  subscription_plan: 'platform' | 'byok' | 'hybrid'
  monthly_price: Generated<Numeric>
  status: Generated<'active' | 'trialing' | 'past_due' | 'canceled' | 'paused'>
  created_at: Generated<Date>
}

export interface OrganizationCreditPoolsTable {
  org_id: string
  total_credits: Generated<Numeric>
  allocated_credits: Generated<Numeric>
  used_credits: Generated<Numeric>
  available_credits: Generated<Numeric>
  held_credits: Generated<Numeric>
}

export interface UserCreditAllocationsTable {
  id: Generated<string>
  org_id: string
  user_id: string
  allocated_credits: Numeric
  used_credits: Generated<Numeric>
  remaining_credits: Generated<Numeric>
  held_credits: Generated<Numeric>
  is_active: Generated<boolean>
  follows_pool: Generated<boolean>
}

export interface CreditUsageAttributionTable {
  id: Generated<string>
  call_id: string
  org_id: string
  user_id: string
  entry: 'charge' | 'correction'
  source: 'sql' | 'proxy'
  credits_used: Numeric
  service_type: string
  service_name: string | null
  api_cost: Numeric
  markup_applied: Numeric
  total_cost: Generated<Numeric>
  request_id: string | null
  request_metadata: Json
  provenance: string | null
  outcome: string | null
  details: Json
  created_at: Generated<Date>
}

export interface LedgerHoldsTable {
  call_id: string
  org_id: string
  user_id: string
  state: 'open' | 'settled' | 'released' | 'recovered'
  held_credits: Numeric
  created_at: Date
  closed_at: Date | null
}

export interface ApiKeysTable {
  id: Generated<string>
  kind: Generated<'api_key' | 'virtual_key' | 'service_key'>
  key_hash: Buffer
  preview: string
  name: string | null
  org_id: string
  user_id: string
  is_active: Generated<boolean>
  expires_at: Date | null
  created_by: string | null
  created_at: Generated<Date>
  scopes: Generated<string[] | null>
  models: Generated<string[] | null>
  routes: Generated<string[] | null>
  act_as: Generated<'none' | 'members'>
  all_organizations: Generated<boolean>
  requests_per_minute: Generated<number | null>
  tokens_per_minute: Generated<Numeric | null>
  calls_at_once: Generated<number | null>
  replaced_at: Generated<Date | null>
}

export interface IdempotencyKeysTable {
  org_id: string
  user_id: string
  key: string
  body_hash: Buffer
  call_id: string
  state: Generated<'running' | 'answered' | 'streamed'>
  status: number | null
  headers: Json
  body: Buffer | null
  created_at: Generated<Date>
}

export interface PlatformSettingsTable {
  key: string
  value: string | null
  category: string | null
  is_secret: Generated<boolean>
  enabled: Generated<boolean>
  updated_at: Generated<Date>
}

interface OwnedProviderKey {
  id: Generated<string>
  provider: string
  api_key_encrypted: string
  metadata: Json
  enabled: Generated<boolean>
  created_at: Generated<Date>
  updated_at: Generated<Date>
}

export interface UserProviderKeysTable extends OwnedProviderKey {
  user_id: string
}

export interface OrganizationProviderKeysTable extends OwnedProviderKey {
  org_id: string
}

export interface VaultRootTable {
  name: string
  since: Generated<Date>
  previous: string | null
  handover: string | null
  way_back: string | null
}

export interface AuditLogTable {
  id: Generated<string>
  created_at: Generated<Date>
  action: string
  subject: string
  actor: string
  ip: string | null
  request_id: string | null
  details: Json
}

export interface SessionsTable {
  token_hash: Buffer
  data: Json
  expires_at: Date
}

export interface Tables {
  organizations: OrganizationsTable
  organization_members: OrganizationMembersTable
  organization_subscriptions: OrganizationSubscriptionsTable
  organization_credit_pools: OrganizationCreditPoolsTable
  user_credit_allocations: UserCreditAllocationsTable
  credit_usage_attribution: CreditUsageAttributionTable
  'tollgate.ledger_holds': LedgerHoldsTable
  'tollgate.api_keys': ApiKeysTable
  'tollgate.idempotency_keys': IdempotencyKeysTable
  platform_settings: PlatformSettingsTable
  user_provider_keys: UserProviderKeysTable
  'tollgate.organization_provider_keys': OrganizationProviderKeysTable
  'tollgate.vault_root': VaultRootTable
  'tollgate.audit_log': AuditLogTable
  'tollgate.sessions': SessionsTable
}
