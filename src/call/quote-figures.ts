/** The figures of a quote, in microcredits: the most the call can cost, what is held for it, and what it will probably cost. */
import { NO_USAGE } from '../../providers/usage.ts'
import { applyFactors } from '../metering/charge.ts'
import { BILL_FACTOR, possibleCost } from '../metering/plausible.ts'
import type { UsualUsage } from '../metering/usual-usage.ts'
import type { Candidate } from './candidate.ts'
import { chargeOn } from './candidate-charge.ts'

export interface Figures {
  most: bigint
  /** What must be free for the call to start. */
  held: bigint
  expected: bigint
  expectedInput: number
  expectedOutput: number
}

/** The expected output tokens of a caller without a history. */
const USUAL_OUTPUT = 400
const MILLION = 1_000_000

/** @param candidates in the order to try them: the first is expected to serve, but the dearest may. */
export function figuresOf(candidates: readonly Candidate[], usual: UsualUsage | null): Figures {
  const largest = (amounts: bigint[]) => amounts.reduce((a, b) => (b > a ? b : a))
  const most = largest(candidates.map(mostOf))
  const [first] = candidates
  if (first === undefined) throw new RangeError('no candidate to quote')
  const { charge, input, output } = expectedOn(first, usual)
  return {
    most,
    held: largest(candidates.map(({ quote, wanted }) => quote.input + quote.outputFor(wanted))),
    expected: charge < most ? charge : most,
    expectedInput: input,
    expectedOutput: output,
  }
}

/** The most that a believed statement costs, and at least what is booked where a statement is not believed. */
function mostOf(candidate: Candidate): bigint {
  const { terms, quote, wanted, cap, price, heldTier, payer } = candidate
  if (!payer.isCharged) return 0n
  const billed = terms.provider.statesCost && price.source !== 'operator' ? BILL_FACTOR : 1n
  const possible = possibleCost(candidate.possible(cap), price, heldTier) * billed
  const { microcredits } = applyFactors(possible, candidate)
  const held = quote.inputBytes + quote.outputFor(wanted)
  return microcredits > held ? microcredits : held
}

function expectedOn(candidate: Candidate, usual: UsualUsage | null): { charge: bigint; input: number; output: number } {
  const { estimate, terms, toolUses: toolFees, tier, payer, deployment } = candidate
  const { choices, outputCap, facts } = terms
  const caps = [outputCap, deployment.maxOutputTokens ?? facts.maxOutputTokens].filter((cap) => cap !== null)
  const { imageOutput = 0, audioOutput = 0, ...units } = estimate.units?.expected ?? {}
  const made = imageOutput + audioOutput
  const written = Math.min(usual?.outputTokens ?? USUAL_OUTPUT * choices, Math.min(...caps) * choices)
  const output = made > 0 ? 0 : written
  const { media, audioInput } = estimate.expected
  const tokens = estimate.tokens + media
  const cacheRead = Math.floor((tokens * (usual?.cachedShare ?? 0)) / MILLION)
  const counts = { input: tokens - cacheRead, cacheRead, audioInput, output, imageOutput, audioOutput, toolFees }
  const usage = { ...NO_USAGE, ...counts, ...units }
  const charge = payer.isCharged ? chargeOn(candidate, { usage, tier }).microcredits : 0n
  return { charge, input: tokens + audioInput, output: output + made }
}
