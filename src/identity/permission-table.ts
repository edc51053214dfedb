/**
 * Who may do what: one table. Checks ask it, and docs/identity.md is compared with it by a test. A role that is not listed may not.
 * System administrators may do everything, in every organization. A credential's scopes take away from what its role may do; they
 * never add to it.
 */
import type { Role } from './role.ts'

interface Rule {
  roles: readonly Exclude<Role, 'system_admin'>[]
  /** What it allows, for the docs. */
  what: string
  /** The `detail` of the 403. Ops-Center's callers know these texts. */
  refusal: string
}

const MEMBERS = ['owner', 'admin', 'billing_admin', 'member'] as const
/** Ops-Center's `is_org_admin`: a billing admin is not one. */
const ADMINS = ['owner', 'admin'] as const
const CALLERS = [...MEMBERS, 'service'] as const
const NOT_A_MEMBER = 'Not a member of this organization'

export const PERMISSIONS = {
  'llm:inference': { roles: CALLERS, what: 'call models', refusal: NOT_A_MEMBER },
  'llm:models': { roles: CALLERS, what: 'list models', refusal: NOT_A_MEMBER },
  'credits:read_own': { roles: CALLERS, what: 'see their own credits and usage', refusal: NOT_A_MEMBER },
  'credits:purchase': { roles: MEMBERS, what: 'buy credits by payment', refusal: 'Not authorized to purchase credits' },
  'credits:deduct': {
    roles: [...ADMINS, 'service'],
    what: 'charge a user for work done elsewhere',
    refusal: 'Not authorized to deduct credits',
  },
  'calls:read_own': { roles: CALLERS, what: 'look up their own calls', refusal: NOT_A_MEMBER },
  'calls:read_organization': {
    roles: ADMINS,
    what: "look up the organization's calls",
    refusal: "Not authorized to view the organization's calls",
  },
  'byok:own': { roles: CALLERS, what: 'keep provider keys of their own', refusal: NOT_A_MEMBER },
  'byok:organization': {
    roles: ADMINS,
    what: "keep the organization's provider keys",
    refusal: "Only an admin of your organization may see or change the organization's keys.",
  },
  'keys:own': { roles: MEMBERS, what: 'make, list and revoke their own API keys', refusal: NOT_A_MEMBER },
  'keys:organization': {
    roles: ADMINS,
    what: "make, list and revoke API keys of the organization's members",
    refusal: "Not authorized to manage the organization's API keys",
  },
  'virtual_keys:read_own': { roles: CALLERS, what: 'see their own virtual key and its budgets', refusal: NOT_A_MEMBER },
  'budgets:manage': {
    roles: ADMINS,
    what: 'make, see and change virtual keys, users, teams, customers and their budgets',
    refusal: 'Only an admin of your organization, or the master key, may do this.',
  },
  'organizations:read_own': { roles: [...CALLERS, 'none'], what: 'list their organizations', refusal: NOT_A_MEMBER },
  'pool:read': { roles: CALLERS, what: "see the organization's credit pool", refusal: NOT_A_MEMBER },
  'pool:add_credits': { roles: ADMINS, what: 'add credits to the pool', refusal: 'Not authorized to add credits' },
  'allocations:read': {
    roles: ADMINS,
    what: "see members' allocations",
    refusal: 'Not authorized to view allocations',
  },
  'allocations:change': {
    roles: ADMINS,
    what: 'allocate credits to members',
    refusal: 'Not authorized to allocate credits',
  },
  'usage:read': { roles: CALLERS, what: "see the organization's usage", refusal: NOT_A_MEMBER },
  'usage:read_members': {
    roles: [...ADMINS, 'billing_admin'],
    what: 'see the usage of each member',
    refusal: "Not authorized to view members' usage",
  },
  'subscription:read': { roles: CALLERS, what: "see the organization's plan", refusal: NOT_A_MEMBER },
  'subscription:create': {
    roles: ADMINS,
    what: 'subscribe to a plan',
    refusal: 'Not authorized to create subscription',
  },
  'subscription:change': {
    roles: ADMINS,
    what: 'change or cancel the plan',
    refusal: 'Not authorized to upgrade subscription',
  },
  'billing:read': {
    roles: ADMINS,
    what: "see the organization's billing",
    refusal: 'Not authorized to view org billing',
  },
  'billing:history': {
    roles: ADMINS,
    what: "see the organization's billing history",
    refusal: 'Not authorized to view billing history',
  },
  'members:read': { roles: CALLERS, what: "list the organization's members", refusal: NOT_A_MEMBER },
  'members:manage': {
    roles: ADMINS,
    what: 'invite, change and remove members',
    refusal: 'Not authorized to manage members',
  },
  'organization:change': {
    roles: ADMINS,
    what: 'rename the organization',
    refusal: 'Not authorized to change the organization',
  },
  'organization:transfer': {
    roles: ['owner'],
    what: 'hand the organization to another owner',
    refusal: 'Only the owner may transfer the organization',
  },
  'organizations:manage': {
    roles: [],
    what: 'create, suspend and resume organizations, and see all of them',
    refusal: 'System admin access required',
  },
  'billing:system': { roles: [], what: 'see billing of all organizations', refusal: 'System admin access required' },
  'calls:refund': { roles: [], what: 'refund calls', refusal: 'System admin access required' },
  'platform_keys:manage': { roles: [], what: "keep the operator's provider keys", refusal: '' },
  'service_keys:manage': { roles: [], what: 'make, rotate and revoke service keys', refusal: '' },
  'audit_log:read': { roles: [], what: 'read the audit log', refusal: '' },
  'system:read': { roles: [], what: 'see the state of the system', refusal: '' },
} as const satisfies Record<string, Rule>

export type Permission = keyof typeof PERMISSIONS

/** The same table, to look up by name. */
export const RULES: Readonly<Record<Permission, Rule>> = PERMISSIONS

export function isPermission(name: string): name is Permission {
  return Object.hasOwn(PERMISSIONS, name)
}
