/** Who a credential stands for, in every organization it may act in. A Caller is a principal that chose one of them. */
import type { KeyLimits } from '../config/config.ts'
import { type Caller, type Credential, NO_ORGANIZATION, type Role } from './caller.ts'
import type { Permission } from './permission-table.ts'
import type { Standing } from './standing.ts'

export interface Principal {
  userId: string
  email: string | null
  credential: Credential
  /** As books and limits have it; null for what is no key. */
  keyId: string | null
  isSystemAdmin: boolean
  /** The first is where it acts unless a request names another. */
  standings: readonly Standing[]
  scopes: ReadonlySet<Permission> | null
  models: readonly string[] | null
  routes: readonly string[] | null
  limits: KeyLimits
  /** `members`: a request may name the member who pays. */
  actAs: 'none' | 'members'
  /** Those made so far, by organization and user. */
  callers: Map<string, Caller>
}

const NOWHERE: Standing = {
  organizationId: NO_ORGANIZATION,
  isActive: true,
  role: 'none',
  plan: null,
  planEnded: null,
  isDefaultOrganization: false,
}

/**
 * @param standing null where the principal belongs to no organization.
 * @param userId another than the principal's own where a service acts as a member.
 */
export function callerIn(principal: Principal, standing: Standing | null, userId = principal.userId): Caller {
  const { organizationId, role, plan, planEnded, isDefaultOrganization } = standing ?? NOWHERE
  const name = `${organizationId} ${userId}`
  const made = principal.callers.get(name)
  if (made !== undefined) return made
  const { email, credential, keyId, isSystemAdmin, standings, scopes, models, routes, limits } = principal
  const caller: Caller = {
    organizationId,
    userId,
    email: userId === principal.userId ? email : null,
    credential,
    keyId,
    role: isSystemAdmin ? 'system_admin' : role,
    memberships: new Map<string, Role>(standings.map((one) => [one.organizationId, one.role])),
    scopes,
    models,
    routes,
    limits,
    plan,
    planEnded,
    isDefaultOrganization,
  }
  principal.callers.set(name, caller)
  return caller
}
