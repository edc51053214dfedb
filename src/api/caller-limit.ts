/** A limit of its own for what one caller does in a minute, beside that of the route. */
import type { RateLimits, RateRule } from '../admission/rate-limits.ts'

/** Counts one. @param who as actorOf names a caller. @throws {TollgateError} 429. */
export type CallerLimit = (who: string) => Promise<void>

export function createCallerLimit(rates: RateLimits, rule: RateRule): CallerLimit {
  return async (who) => {
    await rates.request(rule, who)
  }
}
