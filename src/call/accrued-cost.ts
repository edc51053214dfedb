/** What a running call would be charged if it ended here: the input by its estimate, and the output passed on so far. */
import { NO_USAGE } from '../../providers/usage.ts'
import type { Delivered } from '../ledger/ledger.ts'
import type { Candidate } from './candidate.ts'
import { chargeOn } from './candidate-charge.ts'

export function accruedCost(candidate: Candidate, outputTokens: number): Delivered {
  const { estimate, toolUses, tier, payer } = candidate
  // A recovery books the rest above the provider's part as markup. Where the caller's account pays, we book neither.
  if (!payer.isCharged) return { credits: 0n, apiCost: 0n }
  const { media, audioInput } = estimate.expected
  const usage = { ...NO_USAGE, input: estimate.tokens + media, audioInput, output: outputTokens, toolFees: toolUses }
  const { microcredits, apiCost } = chargeOn(candidate, { usage, tier })
  return { credits: microcredits, apiCost }
}

/** From now on the call costs at least its input: it is going out. */
export function inputCost(candidate: Candidate): Delivered {
  return accruedCost(candidate, 0)
}
