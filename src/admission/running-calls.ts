/**
 * Calls that run at once in this process, counted from the moment their caller is known until they are settled: of each key, user and
 * organization, and in total. Keys, organizations and plans may have limits of their own below the general ones. Of the total no
 * organization has more than its fair share.
 */
import { TollgateError } from '../http/errors.ts'
import type { Limit } from '../http/limit.ts'
import type { Caller } from '../identity/caller.ts'
import type { BoundsOf } from './caller-bounds.ts'
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

export interface RunningCalls {
  /** Returns how to leave, once, when the call is over. @throws {TollgateError} 429, 503. */
  enter(caller: Caller): () => void
}

/** What is counted. */
interface Names {
  organization: string
  user: string
  key: string | null
}

export function createRunningCalls(limits: RunningCallLimits, now: () => number): RunningCalls {
  const share = createFairShare(limits.total, now)
  const counts = new Map<string, number>()
  let total = 0

  function refusal(caller: Caller, { organization, user, key }: Names): TollgateError | null {
    const running = (name: string) => counts.get(name) ?? 0
    const bounds = limits.boundsOf(caller)
    // A caller without a key is bound as a user.
    const perKey = atMost(key === null ? limits.perUser : limits.perKey, bounds.own.callsAtOnce)
    const perUser = key === null ? perKey : limits.perUser
    const perOrganization = atMost(limits.perOrganization, bounds.organization.callsAtOnce)
    if (key !== null && running(key) >= perKey) return tooMany('key_calls', 'this key', perKey)
    if (running(user) >= perUser) return tooMany('user_calls', 'this user', perUser)
    const own = running(organization)
    const isFair = share.mayTake(organization, own, total)
    if (own >= perOrganization) return tooMany('organization_calls', 'this organization', perOrganization)
    if (total >= limits.total) return full(limits.total)
    return isFair ? null : tooMany('organization_share', 'this organization', own)
  }

  return {
    enter(caller) {
      const { organizationId, userId, keyId } = caller
      const organization = `organization ${organizationId}`
      const user = `user ${organizationId} ${userId}`
      const key = keyId === null ? null : `key ${keyId}`
      const refused = refusal(caller, { organization, user, key })
      if (refused !== null) throw refused
      const names = key === null ? [organization, user] : [organization, user, key]
      for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
      total += 1
      return () => {
        total -= 1
        for (const name of names) {
          const left = (counts.get(name) ?? 1) - 1
          if (left === 0) counts.delete(name)
          else counts.set(name, left)
        }
      }
    },
  }
}

function atMost(general: number, own: number | null): number {
  return own === null ? general : Math.min(general, own)
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

function full(most: number): TollgateError {
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
