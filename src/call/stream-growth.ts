/** The hold of a stream while it grows. */

import { accruedCost } from './accrued-cost.ts'
import type { Attempt } from './admitted.ts'
import type { StreamControl } from './stream-control.ts'

/** A look is taken when this many tokens may be left, so that the extension is back before they are used up. */
const MARGIN_TOKENS = 1_024
/** By how much our count may be above a server's own: Claude's newer models, of which little is known, are taken at the most. */
const CAP_TOLERANCE = 0.25
const CAP_TOLERANCE_TOKENS = 16

export interface StreamGrowth {
  /** Tokens a choice that the hold covers. */
  readonly covered: number
  /** How many of them may be left when the hold is to grow; 0 once it can't. */
  readonly margin: number
  /** `refused`: the stream ends with what is covered. `whole`: all that the cap allows is covered, and the server is left to keep it. */
  readonly state: 'growing' | 'refused' | 'whole'
  /** @param passed output tokens of all choices. @param reached tokens a choice that may be written by now. */
  extend(passed: number, reached: number, control: StreamControl): Promise<void>
}

export function createStreamGrowth({ call: { hold }, candidate, appliedCap }: Attempt): StreamGrowth {
  const most = candidate.most ?? Number.POSITIVE_INFINITY
  let covered = hold.outputTokens(candidate)
  let state: StreamGrowth['state'] = 'growing'
  // A cap below the wanted output means that all credits are granted already.
  if (!candidate.extendable || appliedCap !== candidate.cap) atCap()

  /**
   * All that the cap allows is held, and the server keeps the cap by its own count, which ours may be above: one that passes it by
   * more than that is stopped. What can't be seen, or costs the same when it is stopped, is left to its provider.
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
