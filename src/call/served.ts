/** What a provider delivered for one attempt: what settling a call needs of it, whole response or stream. */
import type { Reading } from '../../providers/reading.ts'
import type { Ended, Outcome } from '../ledger/ledger.ts'

export interface Served {
  reading: Reading
  finishReasons: readonly string[]
  /** The usage in `reading` came with the end of the response. */
  isFinal: boolean
  hasContent: boolean
  /** Output text no stated usage covers. */
  outputText: () => string
  /** All output text. */
  shownText: () => string
  /** Output tokens, roughly, where that is known without looking at the text. */
  frames?: number
  /** Bytes of the text, where that is known without looking at it. */
  shownBytes?: number
  outcome: Outcome
  /** Why its payer could spend no longer, where that ended it. */
  ended?: Ended
}

/** What a failure served that states what it used, and delivered nothing. */
export function paidNothing(reading: Reading): Served {
  const nothing = () => ''
  return {
    reading,
    isFinal: true,
    hasContent: false,
    finishReasons: [],
    outputText: nothing,
    shownText: nothing,
    outcome: 'cut_off',
  }
}
