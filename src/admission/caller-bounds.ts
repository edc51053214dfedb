/** What bounds a caller's calls besides the general limits: the credential's own, and those of `tollgate.rate_limits`. */
import type { KeyLimits, Plan, RateLimitSettings } from '../config/config.ts'
import type { Caller } from '../identity/caller.ts'
import { NO_LIMITS } from '../identity/no-limits.ts'
import { matchesGroup } from '../identity/restrictions.ts'
import type { Spender, SpenderKind } from '../identity/spender.ts'

export interface CallerBounds {
  /** Of the key. Of the user, where a token, a session or the master key is the credential. */
  own: KeyLimits
  /** Of the organization, by its plan as well. */
  organization: KeyLimits
}

/** What is counted together, and up to where. */
export interface Bound {
  name: string
  limits: KeyLimits
  /** As errors name them: `this key`. */
  whose: string
}

export type BoundsOf = (caller: Pick<Caller, 'limits' | 'plan'>) => CallerBounds

/** The narrower of two limits counts. Nothing is computed for a caller without limits of its own: nearly everyone. */
export function createBoundsOf({ key, organization, plans }: RateLimitSettings['calls']): BoundsOf {
  const byPlan: Readonly<Record<Plan, KeyLimits>> = {
    platform: narrowed(organization, plans.platform),
    byok: narrowed(organization, plans.byok),
    hybrid: narrowed(organization, plans.hybrid),
  }
  // An organization without a plan is billed as one on `platform`.
  return ({ limits, plan }) => ({
    own: limits === NO_LIMITS ? key : narrowed(limits, key),
    organization: byPlan[plan ?? 'platform'],
  })
}

function narrowed(a: KeyLimits, b: KeyLimits): KeyLimits {
  return {
    requestsPerMinute: least(a.requestsPerMinute, b.requestsPerMinute),
    tokensPerMinute: least(a.tokensPerMinute, b.tokensPerMinute),
    callsAtOnce: least(a.callsAtOnce, b.callsAtOnce),
  }
}

/** Null where neither bounds. */
function least(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b
  return Math.min(a, b)
}

/** Those with rates of their own. A key's are the caller's limits already. */
export function boundsOfSpenders({ spenders }: Pick<Caller, 'spenders'>): readonly Spender[] {
  return spenders.length === 0 ? spenders : spenders.filter(({ kind }) => kind !== 'key')
}

export const WHOSE: Readonly<Record<SpenderKind, string>> = {
  key: 'this key',
  user: 'this user',
  team: 'this team',
  team_member: 'this member of the team',
  organization: 'this organization',
  customer: 'this customer',
}

/** The rates that a caller has for one model, its key's included. */
export function boundsOfModel({ spenders }: Pick<Caller, 'spenders'>, modelGroup: string): Bound[] {
  return spenders.flatMap(({ kind, id, modelRates }) =>
    modelRates
      .filter(({ model }) => matchesGroup(model, modelGroup))
      .map(({ model, limits }) => ({ name: `${kind} ${id}:${model}`, limits, whose: `${WHOSE[kind]} for ${model}` })),
  )
}
