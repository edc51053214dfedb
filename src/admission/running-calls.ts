/**
 * Calls that run at once in this process, counted from the moment their caller is known until they are settled: of each key, user and
 * organization, and in total. Of the total no organization has more than its fair share.
 */
import { TollgateError } from '../http/errors.ts'
import type { Limit } from '../http/limit.ts'
import type { Caller } from '../identity/caller.ts'
import { createFairShare } from './fair-share.ts'

const RETRY_SECONDS = 1

export interface RunningCallLimits {
  perKey: number
  perUser: number
  perOrganization: number
  total: number
}

export interface RunningCalls {
  /** Returns how to leave, once, when the call is over. @throws {TollgateError} 429, 503. */
  enter(caller: Caller): () => void
}

export function createRunningCalls(limits: RunningCallLimits, now: () => number): RunningCalls {
  const share = createFairShare(limits.total, now)
  const counts = new Map<string, number>()
  let total = 0

  function refusal(organization: string, user: string, key: string | null, perKey: number): TollgateError | null {
    const running = (name: string) => counts.get(name) ?? 0
    if (key !== null && running(key) >= perKey) return tooMany('key_calls', 'this key', perKey)
    if (running(user) >= limits.perUser) return tooMany('user_calls', 'this user', limits.perUser)
    const own = running(organization)
    const isFair = share.mayTake(organization, own, total)
    if (own >= limits.perOrganization) return tooMany('organization_calls', 'this organization', limits.perOrganization)
    if (total >= limits.total) return full(limits.total)
    return isFair ? null : tooMany('organization_share', 'this organization', own)
  }

  return {
    enter({ organizationId, userId, keyId, limits: own }) {
      const organization = `organization ${organizationId}`
      const user = `user ${organizationId} ${userId}`
      const key = keyId === null ? null : `key ${keyId}`
      const refused = refusal(organization, user, key, Math.min(limits.perKey, own.callsAtOnce ?? limits.perKey))
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
