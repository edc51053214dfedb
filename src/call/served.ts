/** What a provider delivered for one attempt, whole or streamed, as far as settling needs it. */
import type { Reading } from '../../providers/reading.ts'
import type { Ended, Outcome } from '../ledger/ledger.ts'

export interface Served {
  reading: Reading
  finishReasons: readonly string[]
  /** The usage in `reading` came with the end of the response. */
  isFinal: boolean
  hasContent: boolean
  /** Output text that no stated usage covers. */
  outputText: () => string
  /** All output text. */
  shownText: () => string
  /** A rough number of output tokens, where it is known without reading the text. */
  frames?: number
  /** The bytes of the text, where their number is known without reading it. */
  shownBytes?: number
  outcome: Outcome
  /** Why its payer could no longer spend, where that ended the call. */
  ended?: Ended
}

/** What a failure served that delivered nothing but states a usage. */
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
