/** The hold of a stream while it grows. */

import { accruedCost } from './accrued-cost.ts'
import type { Attempt } from './admitted.ts'
import type { StreamControl } from './stream-control.ts'

/** The meter looks when this many tokens may be left, so that the extension returns before they are used up. */
const MARGIN_TOKENS = 1_024
/** By how much our count may exceed the server's own. Little is known about Claude's newer models, so this is generous. */
const CAP_TOLERANCE = 0.25
const CAP_TOLERANCE_TOKENS = 16

export interface StreamGrowth {
  /** Tokens per choice that the hold covers. */
  readonly covered: number
  /** The hold grows when so many of them are left; 0 once it can't grow. */
  readonly margin: number
  /** `refused`: the stream ends with what is covered. `whole`: everything the cap allows is covered, and the server enforces the cap. */
  readonly state: 'growing' | 'refused' | 'whole'
  /** @param passed output tokens of all choices. @param reached tokens per choice that may be written by now. */
  extend(passed: number, reached: number, control: StreamControl): Promise<void>
}

export function createStreamGrowth({ call: { hold }, candidate, appliedCap }: Attempt): StreamGrowth {
  const most = candidate.most ?? Number.POSITIVE_INFINITY
  let covered = hold.outputTokens(candidate)
  let state: StreamGrowth['state'] = 'growing'
  // A cap below the wanted output means that all credits are granted already.
  if (!candidate.extendable || appliedCap !== candidate.cap) atCap()

  /**
   * Everything that the cap allows is held. The server enforces the cap by its own count, which may be below ours, so the stream is
   * stopped only beyond a tolerance. Output that does not show, or that costs the same when it is stopped, is left to the provider.
   */
  function atCap(): void {
    if (candidate.topSpeed !== null || candidate.terms.provider.billsAbandoned) {
      state = 'whole'
      return
    }
    state = 'refused'
    covered += Math.ceil(covered * CAP_TOLERANCE) + CAP_TOLERANCE_TOKENS
  }

  return {
    get covered() {
      return covered
    },
    get margin() {
      return state === 'growing' ? Math.min(MARGIN_TOKENS, Math.ceil(covered / 2)) : 0
    },
    get state() {
      return state
    },
    async extend(passed, reached, control) {
      const next = Math.min(Math.max(covered, reached) + candidate.step, most)
      const total = hold.inputOf(candidate) + candidate.quote.outputFor(next)
      if (total <= hold.held) {
        atCap()
        return
      }
      const size = { total, least: hold.held + 1n }
      const granted = await hold.extend(size, accruedCost(candidate, passed), (why) => control.end(why))
      // The ledger granted less than asked for, so nothing is left: the next extension would be refused.
      if (granted === null || granted < total) state = 'refused'
      covered = hold.outputTokens(candidate)
    },
  }
}
