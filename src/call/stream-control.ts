import type { Ended } from '../ledger/ledger.ts'

/** What a meter may do to a stream. */
export interface StreamControl {
  /** No more from upstream until `resume`. */
  pause(): void
  resume(): void
  /** The stream is over, for what we can cover. */
  stop(): void
  /** The stream is over, since its payer may spend no longer. One that is read on already, which nobody sees, runs to its end. */
  end(why: Ended): void
}
