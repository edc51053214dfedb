/** How often a caller may have keys tested: so many in any minute, counted in this process. */
import { TollgateError } from '../http/errors.ts'

const MINUTE_MS = 60_000
/** Who has not tested for a minute is forgotten when there are more than these. */
const REMEMBERED_MAX = 10_000

/** Counts one. @throws {TollgateError} 429. */
export type TestLimit = (who: string) => void

/** @param now milliseconds since 1970. */
export function createTestLimit(most: number, now: () => number): TestLimit {
  const tests = new Map<string, number[]>()
  return (who) => {
    const at = now()
    if (tests.size > REMEMBERED_MAX) {
      for (const [name, times] of tests) if ((times.at(-1) ?? 0) <= at - MINUTE_MS) tests.delete(name)
    }
    const recent = (tests.get(who) ?? []).filter((time) => time > at - MINUTE_MS)
    if (recent.length >= most) throw tooOften(most, (recent[0] ?? at) + MINUTE_MS, at)
    tests.set(who, [...recent, at])
  }
}

function tooOften(most: number, freeAt: number, at: number): TollgateError {
  return new TollgateError(429, 'rate_limit_exceeded', `Rate limit exceeded. Maximum ${most} tests per minute.`, {
    headers: {
      'Retry-After': String(Math.max(1, Math.ceil((freeAt - at) / 1000))),
      'X-RateLimit-Limit': String(most),
      'X-RateLimit-Remaining': '0',
      'X-RateLimit-Reset': String(Math.ceil(freeAt / 1000)),
    },
  })
}
