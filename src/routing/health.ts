/**
 * Whether one deployment is spared: after failures for a while, then until one call has shown how it is. Other processes may tell that
 * they spare it.
 */
import type { RoutingSettings } from '../config/routing-settings.ts'
import { cooldownAfter, type Failed, isOfRequest, type MinuteCounts } from './cooldown.ts'
import { failureClass } from './failure-class.ts'

export type HealthRules = Pick<RoutingSettings, 'cooldowns' | 'cooldownMs' | 'allowedFails' | 'allowedFailsPolicy'>

export interface Health {
  /** Milliseconds for which nobody may call it; 0 where calls may go there, or one that shows how it is. */
  awayFor(): number
  /** Before a call goes there. True: it is the one that shows how it is, and `judge` or `forget` has to be told of it. */
  begin(): boolean
  answered(isTrial: boolean): void
  /** @param mayBeSpared others can do its work, and the failure is its own. */
  failed(failure: Failed, mayBeSpared: boolean, isTrial: boolean): void
  /** Nobody knows what came of the call. */
  forget(isTrial: boolean): void
  /** Another process spares it for so long; 0: not any more. */
  hear(ms: number): void
}

/** While a trial runs, callers are told to come back so soon. */
const SOON_MS = 1_000
const MINUTE_MS = 60_000

/** @param tell that it is spared for so long from now on; 0: not any more. @param now milliseconds, monotonic. */
export function createHealth(rules: HealthRules, now: () => number, tell: (ms: number) => void): Health {
  /** When the present minute began: with its first call. Failures around a full minute of the clock would be counted as two minutes'. */
  let begunAt = Number.NEGATIVE_INFINITY
  let counts: MinuteCounts = emptyCounts()
  /** Null: nobody spares it. */
  let until: number | null = null
  let isTried = false

  function current(): MinuteCounts {
    if (now() - begunAt >= MINUTE_MS) {
      counts = emptyCounts()
      begunAt = now()
    }
    return counts
  }

  function spare(ms: number): void {
    until = ms === 0 ? null : now() + ms
    if (ms === 0) counts = emptyCounts()
  }

  return {
    awayFor: () => (until === null ? 0 : Math.max(until - now(), isTried ? SOON_MS : 0)),
    begin() {
      if (until === null) return false
      isTried = true
      return true
    },
    answered(isTrial) {
      current().successes += 1
      if (!isTrial) return
      isTried = false
      spare(0)
      tell(0)
    },
    failed(failure, mayBeSpared, isTrial) {
      if (isOfRequest(failure.kind)) return this.answered(isTrial)
      if (isTrial) isTried = false
      if (!mayBeSpared) return
      const { byClass } = current()
      const name = failureClass(failure.kind)
      counts.failures += 1
      byClass[name] = (byClass[name] ?? 0) + 1
      const ms = cooldownAfter(failure, counts, rules) ?? (isTrial ? rules.cooldownMs : null)
      if (ms === null) return
      spare(ms)
      tell(ms)
    },
    forget(isTrial) {
      if (isTrial) isTried = false
    },
    hear: spare,
  }
}

function emptyCounts(): MinuteCounts {
  return { successes: 0, failures: 0, byClass: {} }
}
