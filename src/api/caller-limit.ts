/** A limit on what one caller does in a minute, besides that of the route. */
import type { RateLimits, RateRule } from '../admission/rate-limits.ts'

/** Counts one action. @param who the caller, as actorOf names it. @throws {TollgateError} 429. */
export type CallerLimit = (who: string) => Promise<void>

export function createCallerLimit(rates: RateLimits, rule: RateRule): CallerLimit {
  return async (who) => {
    await rates.request(rule, who)
  }
}
