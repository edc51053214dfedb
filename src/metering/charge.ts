/**
 * The true price of a call that ran: usage x rates, service tier, markup and power level, divided once and rounded once, up.
 * Pure integers from end to end; the only inexact step is that one rounding, and it is never more than one nano-dollar.
 */

import { inputTokens, type Units, type Usage } from '../../providers/usage.ts'
import { divideUp } from './money.ts'
import { type Price, ratesFor } from './price.ts'

/** Factors (markup, level, tier) are in millionths. */
export const MILLION = 1_000_000n

export interface ChargeInput {
  usage: Usage
  price: Price
  /** Where several models served: `usage` by model, each at its own price. Ignored where the operator set an explicit price. */
  byModel?: readonly { usage: Usage; price: Price }[] | null
  /** Millionths on top of cost: 500000n is 50 %. */
  markup: bigint
  /** Millionths: 1000000n is x 1. */
  level: bigint
  /** Millionths: the provider's multiplier for the service tier that served the call; x 1 when left out. */
  tier?: bigint
  /** The provider's own bill in 10^-21 dollars, where it stated one. Ignored where the operator set an explicit price. */
  providerCost?: bigint | null
  /** False keeps the charge at or above `apiCost` (a 50 % markup with a x 0.5 level would be below it). */
  allowBelowCost: boolean
}

export interface ChargeParts {
  input: bigint
  cacheRead: bigint
  cacheWrite: bigint
  output: bigint
  /** Inside `output`, for show. */
  reasoning: bigint
  tools: bigint
}

export interface Charge {
  /** What the payer is charged. */
  microcredits: bigint
  /** What the provider takes, in nano-dollars, rounded up. */
  apiCost: bigint
  /** `microcredits - apiCost`; negative only with `allowBelowCost`. */
  markupApplied: bigint
  /** The charge by cause, in microcredits: input + cacheRead + cacheWrite + output + tools is `microcredits` exactly. */
  parts: ChargeParts
}

/** Nano-dollars x 10^12: tokens x (nano-dollars per million) x (tier in millionths), not yet divided. */
type Numerators = ChargeParts

/** Numerators are nano-dollars x 10^12. */
export const COST_SCALE = MILLION * MILLION

/** Prices one call. Never throws for usage made of integers >= 0. */
export function charge(c: ChargeInput): Charge {
  const numerators = { ...partNumerators(c), tools: toolNumerator(c.usage.toolFees, c.price) }
  const listed = numerators.input + numerators.cacheRead + numerators.cacheWrite + numerators.output + numerators.tools
  const stated = c.price.source === 'operator' ? null : (c.providerCost ?? null)
  const { apiCost, microcredits } = applyFactors(stated ?? listed, c)
  return {
    microcredits,
    apiCost,
    markupApplied: microcredits - apiCost,
    parts: split(microcredits, numerators, listed),
  }
}

/**
 * A cost numerator (nano-dollars x 10^12) to what the provider takes and what the payer is charged. Quotes use the same
 * function, so that a hold for N tokens and the charge for N tokens can't differ by a rounding.
 */
export function applyFactors(
  numerator: bigint,
  factors: { markup: bigint; level: bigint; allowBelowCost: boolean },
): { apiCost: bigint; microcredits: bigint } {
  const apiCost = divideUp(numerator, COST_SCALE)
  const marked = divideUp(numerator * (MILLION + factors.markup) * factors.level, COST_SCALE * MILLION * MILLION)
  return { apiCost, microcredits: marked < apiCost && !factors.allowBelowCost ? apiCost : marked }
}

/** The sum of counted tool uses at their fees, in nano-dollars x 10^12. A service tier does not touch fees. */
export function toolNumerator(counts: Readonly<Record<string, number>>, price: Price): bigint {
  let nanoDollars = 0n
  // A provider chooses the names of kinds, so one may be `constructor`, which has no fee.
  for (const [kind, uses] of Object.entries(counts))
    if (Object.hasOwn(price.toolFees, kind)) nanoDollars += BigInt(uses) * (price.toolFees[kind] ?? 0n)
  return nanoDollars * COST_SCALE
}

/** What units cost, in nano-dollars x 10^6: what was sent, and what was made. A unit without a price costs nothing. */
export function unitNumerators(count: Units, { units = {} }: Pick<Price, 'units'>): { input: bigint; output: bigint } {
  const cost = (unit: keyof Units) => BigInt(count[unit]) * (units[unit] ?? 0n)
  return { input: cost('imagesRead') + cost('characters') + cost('milliseconds'), output: cost('images') }
}

function partNumerators(c: ChargeInput): Omit<Numerators, 'tools'> {
  const tier = c.tier ?? MILLION
  const parts = c.price.source === 'operator' ? null : (c.byModel ?? null)
  if (parts === null || parts.length === 0) return listNumerators(c.usage, c.price, tier)
  const sum = { input: 0n, cacheRead: 0n, cacheWrite: 0n, output: 0n, reasoning: 0n }
  for (const { usage, price } of parts) {
    const part = listNumerators(usage, price, tier)
    for (const kind of Object.keys(sum) as (keyof typeof sum)[]) sum[kind] += part[kind]
  }
  return sum
}

function listNumerators(usage: Usage, price: Price, tier: bigint): Omit<Numerators, 'tools'> {
  const rates = ratesFor(price, inputTokens(usage))
  const cost = (tokens: number, rate: bigint) => BigInt(tokens) * rate * tier
  const units = unitNumerators(usage, price)
  return {
    input:
      cost(usage.input, rates.input) +
      cost(usage.audioInput, rates.audioInput) +
      cost(usage.imageInput, rates.imageInput ?? rates.input) +
      units.input * tier,
    cacheRead:
      cost(usage.cacheRead, rates.cacheRead) + cost(usage.cacheReadAudio, rates.cacheReadAudio ?? rates.cacheRead),
    cacheWrite: cost(usage.cacheWrite5m, rates.cacheWrite5m) + cost(usage.cacheWrite1h, rates.cacheWrite1h),
    output:
      cost(usage.output, rates.output) +
      cost(usage.audioOutput, rates.audioOutput) +
      cost(usage.imageOutput, rates.imageOutput) +
      units.output * tier,
    reasoning: cost(Math.min(usage.reasoning, usage.output), rates.output),
  }
}

/**
 * Divides the charge in proportion to list prices, so parts mean the same whether the charge came from rates, from the
 * provider's bill or was raised to cost. What rounding leaves goes to the largest part; a charge without any listed cost
 * (a stated bill on free rates) is shown as output.
 */
function split(total: bigint, by: Numerators, sum: bigint): ChargeParts {
  if (sum === 0n) return { input: 0n, cacheRead: 0n, cacheWrite: 0n, output: total, reasoning: 0n, tools: 0n }
  const share = (numerator: bigint) => (total * numerator) / sum
  const parts: ChargeParts = {
    input: share(by.input),
    cacheRead: share(by.cacheRead),
    cacheWrite: share(by.cacheWrite),
    output: share(by.output),
    reasoning: share(by.reasoning),
    tools: share(by.tools),
  }
  let largest: keyof Omit<ChargeParts, 'reasoning'> = 'output'
  for (const part of ['input', 'cacheRead', 'cacheWrite', 'tools'] as const) if (by[part] > by[largest]) largest = part
  parts[largest] += total - (parts.input + parts.cacheRead + parts.cacheWrite + parts.output + parts.tools)
  return parts
}
