/** What a running call would be charged if it ended here: the input by its estimate, and the output passed on so far. */
import { NO_USAGE, type Usage } from '../../providers/usage.ts'
import type { Delivered } from '../ledger/ledger.ts'
import type { Candidate } from './candidate.ts'
import { chargeOn } from './candidate-charge.ts'

export function accruedCost(candidate: Candidate, outputTokens: number): Delivered {
  // A recovery books the rest above the provider's part as markup. Where the caller's account pays, we book neither.
  if (!candidate.payer.isCharged) return { credits: 0n, apiCost: 0n }
  const usage = accruedUsage(candidate, outputTokens)
  const { microcredits, apiCost } = chargeOn(candidate, { usage, tier: candidate.tier })
  return { credits: microcredits, apiCost }
}

export function accruedUsage({ estimate, toolUses }: Candidate, outputTokens: number): Usage {
  const { media, audioInput } = estimate.expected
  // What is made comes at the end.
  const sent = { ...estimate.units?.expected, images: 0, imageOutput: 0, audioOutput: 0 }
  const tokens = { input: estimate.tokens + media, audioInput, output: outputTokens, toolFees: toolUses }
  return { ...NO_USAGE, ...tokens, ...sent }
}

/** From now on the call costs at least its input: it is going out. */
export function inputCost(candidate: Candidate): Delivered {
  return accruedCost(candidate, 0)
}
