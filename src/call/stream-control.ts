import type { Ended } from '../ledger/ledger.ts'

/** What the meter may do to a stream. */
export interface StreamControl {
  /** Takes no more from upstream until `resume`. */
  pause(): void
  resume(): void
  /** Ends the stream because the hold covers no more. */
  stop(): void
  /** Ends the stream because its payer may no longer spend. A stream that is only read on, without its caller, runs to its end. */
  end(why: Ended): void
}
