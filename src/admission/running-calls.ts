/**
 * Calls that run at once in this process, counted from the moment their caller is known until they are settled: of each key, user and
 * organization, and in total. Keys, organizations and plans may have limits of their own below the general ones. Of the total no
 * organization has more than its fair share.
 */
import type { KeyLimits } from '../config/config.ts'
import { TollgateError } from '../http/errors.ts'
import type { Limit } from '../http/limit.ts'
import type { Caller } from '../identity/caller.ts'
import { type BoundsOf, boundsOfSpenders, WHOSE as SPENDERS } from './caller-bounds.ts'
import { createFairShare } from './fair-share.ts'

const RETRY_SECONDS = 1

export interface RunningCallLimits {
  perKey: number
  perUser: number
  perOrganization: number
  total: number
  /** Narrower ones: of the caller's key, organization and plan. */
  boundsOf: BoundsOf
}

/** How to leave, once, when the call is over. */
export type Leave = () => void

export interface RunningCalls {
  /** A promise only where other processes have to be asked. @throws {TollgateError} 429, 503. */
  enter(caller: Caller): Leave | Promise<Leave>
}

/** Of this process alone: nobody is asked. */
export interface OwnRunningCalls {
  enter(caller: Caller): Leave
}

/** One of the limits a call counts against. */
export interface CallBound {
  /** What is counted. */
  name: string
  most: number
  /** Of this key, organization or plan, not of all. */
  isNarrowed: boolean
  limit: 'key_calls' | 'user_calls' | 'organization_calls' | 'spender_calls'
  /** As the error names it. */
  whose: string
}

export function createRunningCalls(limits: RunningCallLimits, now: () => number): OwnRunningCalls {
  const share = createFairShare(limits.total, now)
  const counts = new Map<string, number>()
  let total = 0

  function refusal({ organizationId }: Caller, bounds: readonly CallBound[]): TollgateError | null {
    const full = bounds.find(({ name, most }) => (counts.get(name) ?? 0) >= most)
    if (full !== undefined && full.limit !== 'organization_calls') return tooManyCalls(full)
    const organization = `organization ${organizationId}`
    const own = counts.get(organization) ?? 0
    const isFair = share.mayTake(organization, own, total)
    if (full !== undefined) return tooManyCalls(full)
    if (total >= limits.total) return tooBusy(limits.total)
    return isFair ? null : tooMany('organization_share', 'this organization', own)
  }

  return {
    enter(caller) {
      const bounds = boundsOfCall(limits, caller)
      const refused = refusal(caller, bounds)
      if (refused !== null) throw refused
      for (const { name } of bounds) counts.set(name, (counts.get(name) ?? 0) + 1)
      total += 1
      return () => {
        total -= 1
        for (const { name } of bounds) {
          const left = (counts.get(name) ?? 1) - 1
          if (left === 0) counts.delete(name)
          else counts.set(name, left)
        }
      }
    },
  }
}

/** The narrowest first. */
export function boundsOfCall(limits: RunningCallLimits, caller: Caller): CallBound[] {
  const { organizationId, userId, keyId } = caller
  const { own, organization } = limits.boundsOf(caller)
  // A caller without a key is bound as a user.
  const user = bound('user_calls', `user ${organizationId} ${userId}`, limits.perUser, keyId === null ? own : null)
  const all = bound('organization_calls', `organization ${organizationId}`, limits.perOrganization, organization)
  const others = boundsOfSpenders(caller).flatMap(({ kind, id, limits: { callsAtOnce } }): CallBound[] =>
    callsAtOnce === null
      ? []
      : [{ limit: 'spender_calls', name: `${kind} ${id}`, most: callsAtOnce, isNarrowed: true, whose: SPENDERS[kind] }],
  )
  const general = [...others, user, all]
  return keyId === null ? general : [bound('key_calls', `key ${keyId}`, limits.perKey, own), ...general]
}

function bound(limit: keyof typeof WHOSE, name: string, general: number, narrower: KeyLimits | null): CallBound {
  const most = narrower?.callsAtOnce ?? general
  return { limit, name, most: Math.min(general, most), isNarrowed: most < general, whose: WHOSE[limit] }
}

const WHOSE = { key_calls: 'this key', user_calls: 'this user', organization_calls: 'this organization' } as const

export function tooManyCalls({ limit, most, whose }: Pick<CallBound, 'limit' | 'most' | 'whose'>): TollgateError {
  return tooMany(limit, whose, most)
}

function tooMany(limit: Limit, whose: string, most: number): TollgateError {
  return new TollgateError(
    429,
    'too_many_calls',
    `Too many calls of ${whose} run at once: ${most} do. Try again when one of them has finished.`,
    {
      headers: {
        'Retry-After': `${RETRY_SECONDS}`,
        'X-RateLimit-Reset': `${Math.ceil(Date.now() / 1000) + RETRY_SECONDS}`,
        'x-should-retry': 'true',
      },
      fields: { limit },
      limit,
    },
  )
}

function tooBusy(most: number): TollgateError {
  return new TollgateError(
    503,
    'too_busy',
    `This instance runs ${most} calls, as many as it takes. Try again shortly.`,
    {
      headers: { 'Retry-After': `${RETRY_SECONDS}` },
      limit: 'calls',
    },
  )
}
