/** What a running call would be charged if it ended here: the input by its estimate, and the output passed on so far. */
import { NO_USAGE } from '../../providers/usage.ts'
import type { Delivered } from '../ledger/ledger.ts'
import type { Candidate } from './candidate.ts'
import { chargeOn } from './candidate-charge.ts'

export function accruedCost(candidate: Candidate, outputTokens: number): Delivered {
  const { estimate, toolUses, tier, payer } = candidate
  // A recovery books what is on top of the provider's part as markup: where the caller's account pays, neither is ours to book.
  if (!payer.isCharged) return { credits: 0n, apiCost: 0n }
  const { media, audioInput } = estimate.expected
  const usage = { ...NO_USAGE, input: estimate.tokens + media, audioInput, output: outputTokens, toolFees: toolUses }
  const { microcredits, apiCost } = chargeOn(candidate, { usage, tier })
  return { credits: microcredits, apiCost }
}

/** A call that is going out is worth its input from now on. */
export function inputCost(candidate: Candidate): Delivered {
  return accruedCost(candidate, 0)
}
