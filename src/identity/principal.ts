/** Who a credential stands for, in every organization it may act in. A Caller is a principal that chose one of them. */
import type { KeyLimits } from '../config/config.ts'
import { type Caller, type Credential, NO_ORGANIZATION, type Role } from './caller.ts'
import type { Permission } from './permission-table.ts'
import { NO_SPENDERS, type Spender } from './spender.ts'
import { type Standing, UNLIMITED } from './standing.ts'

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
  /** Of the credential: a virtual key, its team, its user as a member of it. */
  spenders: readonly Spender[]
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
  tier: UNLIMITED,
  isDefaultOrganization: false,
  spenders: NO_SPENDERS,
  hasCustomers: false,
}

/**
 * @param standing null where the principal belongs to no organization.
 * @param userId another than the principal's own where a service acts as a member.
 */
export function callerIn(principal: Principal, standing: Standing | null, userId = principal.userId): Caller {
  const { organizationId, role, plan, planEnded, tier, isDefaultOrganization } = standing ?? NOWHERE
  const spenders = boundBy(principal.spenders, (standing ?? NOWHERE).spenders)
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
    spenders,
    hasCustomers: (standing ?? NOWHERE).hasCustomers,
    aliases: aliasesOf(spenders),
    plan,
    planEnded,
    tier,
    isDefaultOrganization,
  }
  principal.callers.set(name, caller)
  return caller
}

/** A key's own come before its team's. */
function aliasesOf(spenders: readonly Spender[]): Caller['aliases'] {
  const of = (which: Spender['kind']) => spenders.find(({ kind }) => kind === which)?.aliases
  const [ofKey, ofTeam] = [of('key'), of('team')]
  return ofKey === undefined && ofTeam === undefined ? null : { ...ofTeam, ...ofKey }
}

/** What a key of a team calls counts for the team, and not for its user besides. */
function boundBy(ofCredential: readonly Spender[], ofStanding: readonly Spender[]): readonly Spender[] {
  if (ofCredential.length === 0) return ofStanding
  const isOfTeam = ofCredential.some(({ kind }) => kind === 'team')
  return [...ofCredential, ...ofStanding.filter(({ kind }) => !isOfTeam || kind !== 'user')]
}
