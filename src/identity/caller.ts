/** Who a request is from. Produced once, by this folder, for every route. */
import type { KeyLimits } from '../config/config.ts'
import type { Permission } from './permission-table.ts'
import type { Role } from './role.ts'
import type { Spender } from './spender.ts'

export type { OrganizationRole, Role } from './role.ts'

export type CredentialKind = 'master_key' | 'api_key' | 'virtual_key' | 'service_key' | 'token' | 'session'

/** What proved who the caller is. It holds no secret. */
export interface Credential {
  kind: CredentialKind
  /** Of a stored key, its row; null for what is not stored. */
  id: string | null
  /** As its owner named it: `loopnet`; null where it has no name. */
  name: string | null
}

/** The organization of somebody who belongs to none. No row has this id, so nothing is found by it. */
export const NO_ORGANIZATION = '00000000-0000-0000-0000-000000000000'

/** One object for each credential, organization and user, made once and kept: compare nothing but its members. */
export interface Caller {
  /** The organization that pays, and the one a route is about unless its path names another. */
  organizationId: string
  userId: string
  /** Where an identity provider states it. */
  email: string | null
  credential: Credential
  /** Of the key, as books and limits have it; null for the master key, tokens and sessions. */
  keyId: string | null
  /** In `organizationId`. A system administrator has this role everywhere. */
  role: Role
  /** Every organization the caller may act in, by id. A key that belongs to one organization has that one only. */
  memberships: ReadonlyMap<string, Role>
  /** What the credential is restricted to; null: everything the role may do. */
  scopes: ReadonlySet<Permission> | null
  /** Names or patterns of models, `claude-*`; null: all. */
  models: readonly string[] | null
  /** Groups or paths of routes; null: all. Enforced where the caller is identified. */
  routes: readonly string[] | null
  limits: KeyLimits
  /** Whose budgets, rates and lists of models bind its calls besides; empty for nearly everyone. */
  spenders: readonly Spender[]
  /** The organization has customers with budgets or bounds of their own. */
  hasCustomers: boolean
  /** Names of models that stand for others when this key asks; null for none. */
  aliases: Readonly<Record<string, string>> | null
  /** Null for an organization without a subscription. */
  plan: 'platform' | 'byok' | 'hybrid' | null
  /** By which the calls of a day and a month are bounded: that of the organization, `byok` where its plan is. */
  tier: string
  /** What keeps a plan with keys of its own from being in force: `past_due`, `paused`, `canceled`; null or left out where it is. */
  planEnded?: string | null
  /** The organization of callers without one, and those that are bounded by budgets as it is: unlimited overage, no markup. */
  isDefaultOrganization: boolean
}

/** As the audit log names who did it: two organizations may call their users the same. */
export function actorOf({ role, organizationId, userId }: Pick<Caller, 'role' | 'organizationId' | 'userId'>): string {
  return role === 'system_admin' ? userId : `${organizationId}/${userId}`
}
