/** How often a caller may have keys tested, or change them: so many times in any minute, counted in this process. */
import { TollgateError } from '../../http/errors.ts'

const MINUTE_MS = 60_000
/** Who has not asked for a minute is forgotten when there are more than these. */
const REMEMBERED_MAX = 10_000

/** Counts one. @throws {TollgateError} 429. */
export type MinuteLimit = (who: string) => void

/** @param what of `most`, as an error says it: `tests`. @param now milliseconds since 1970. */
export function createMinuteLimit(most: number, what: string, now: () => number): MinuteLimit {
  const asked = new Map<string, number[]>()
  return (who) => {
    const at = now()
    if (asked.size > REMEMBERED_MAX) {
      for (const [name, times] of asked) if ((times.at(-1) ?? 0) <= at - MINUTE_MS) asked.delete(name)
    }
    const recent = (asked.get(who) ?? []).filter((time) => time > at - MINUTE_MS)
    if (recent.length >= most) throw tooOften(most, what, (recent[0] ?? at) + MINUTE_MS, at)
    asked.set(who, [...recent, at])
  }
}

function tooOften(most: number, what: string, freeAt: number, at: number): TollgateError {
  return new TollgateError(429, 'rate_limit_exceeded', `Rate limit exceeded. Maximum ${most} ${what} per minute.`, {
    headers: {
      'Retry-After': String(Math.max(1, Math.ceil((freeAt - at) / 1000))),
      'X-RateLimit-Limit': String(most),
      'X-RateLimit-Remaining': '0',
      'X-RateLimit-Reset': String(Math.ceil(freeAt / 1000)),
    },
  })
}
