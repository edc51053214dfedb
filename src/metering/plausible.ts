/**
 * What a provider's statement can possibly be. A statement is believed as far as it is possible, however small the quote was: a
 * caller makes a quote small by what it asks for, and would choose the price of the call if the quote bounded what is charged.
 *
 * Possible are: input up to the model's context window, once more for each use of a tool the provider runs itself; where nothing in
 * the request stands for more than its own bytes, also not above a token a byte, and no sound; output up to the cap that reached the
 * server, else the model's limit, in each choice, and speech only where it was asked for; tools up to the uses the request allows.
 * What goes beyond one of these is possible as far as the operator's surcharge for the request's tools pays for all of it.
 */

import { inputTokens, NO_UNITS, outputTokens, UNITS, type Units, type Usage } from '../../providers/usage.ts'
import { applyFactors, COST_SCALE, toolNumerator, unitNumerators } from './charge.ts'
import type { Price, Rates } from './price.ts'

/** Tokens of prompts that a server puts around a conversation and nobody measured: a template, its rules for tools. Measured: 600. */
export const UNSEEN_PROMPT = 2_048
/** How many times the listed price a provider's own bill may be: a router has servers that are dearer than the one listed. */
export const BILL_FACTOR = 5n
/** More rounds with tools than a provider makes in one call, whatever a request allows. */
const TOOL_ROUNDS_MAX = 100

export interface Possible {
  /** Tokens of input, cached ones included. */
  input: number
  /** Tokens of output over all choices. */
  output: number
  /** Of the input some may be sound, of the output some may be speech: each is dearer than text. */
  hears: boolean
  speaks: boolean
  /** Uses of priced tools, by kind. */
  toolUses: Readonly<Record<string, number>>
  /** What is billed by something else than tokens; left out where nothing is. */
  units?: Units
  /** Nano-dollars: what the operator holds for tools whose findings can't be known. */
  surcharge: bigint
}

export interface PossibleInput {
  estimate: {
    /** UTF-8 bytes of what can become input, hidden prompts that are known of included. */
    bytes: number
    media: number
    audioInput: number
    /** Parts whose size nothing in the request tells. */
    unbounded: readonly string[]
  }
  /** The larger of what the data set and the operator say; null where nobody knows. */
  contextWindow: number | null
  /** Tools that the provider runs itself and whose findings become input: their uses in all. */
  toolRounds: number
}

/** The most input tokens a statement can name. */
export function possibleInput({ estimate, contextWindow, toolRounds }: PossibleInput): number {
  const { bytes, media, audioInput, unbounded } = estimate
  const ownBytes = bytes + UNSEEN_PROMPT
  const window = (contextWindow ?? ownBytes + media + audioInput) * (Math.min(toolRounds, TOOL_ROUNDS_MAX) + 1)
  const isOwnBytes = media === 0 && audioInput === 0 && unbounded.length === 0 && toolRounds === 0
  return isOwnBytes ? Math.min(window, ownBytes) : window
}

/** The most output tokens: `cap` is the one the server got, `overrun` by how many tokens the model is known to pass it. */
export function possibleOutput(cap: number | null, limit: number | null, choices: number, overrun: number): number {
  return ((cap ?? limit ?? 0) + overrun) * Math.max(1, choices)
}

/** Whether usage is within what is possible, at the rates of the price the call was quoted at. `tier` in millionths. */
export function isPossible(usage: Usage, possible: Possible, price: Price, tier: bigint): boolean {
  if (isDearerSound(usage, possible, price)) return false
  const { units = NO_UNITS } = possible
  if (UNITS.some((unit) => usage[unit] > units[unit] && (price.units?.[unit] ?? 0n) > 0n)) return false
  // Where a call is billed by something else, tokens are for show.
  if (price.units !== undefined && isFreeByToken(price)) return true
  const input = Math.max(0, inputTokens(usage) - possible.input)
  const output = Math.max(0, outputTokens(usage) - possible.output)
  // Without a surcharge nothing pays for what is beyond, not even where it is free.
  if ((input > 0 || output > 0) && possible.surcharge === 0n) return false
  const rates = dearestRates(price, inputTokens(usage))
  const tokens = (BigInt(input) * rates.input + BigInt(output) * rates.output) * tier
  const fees = toolNumerator(usage.toolFees, price) - toolNumerator(possible.toolUses, price)
  return tokens + (fees > 0n ? fees : 0n) <= possible.surcharge * COST_SCALE
}

function isFreeByToken({ tiers }: Price): boolean {
  return tiers.every(({ rates }) => Object.values(rates).every((rate) => rate === 0n))
}

/** Sound where there is none, which costs more than the same tokens of text. */
function isDearerSound(
  { audioInput, cacheReadAudio, audioOutput }: Usage,
  possible: Possible,
  { tiers }: Price,
): boolean {
  const isHeard = !possible.hears && audioInput + cacheReadAudio > 0
  const isSpoken = !possible.speaks && audioOutput > 0
  return tiers.some(
    ({ rates }) => (isHeard && rates.audioInput > rates.input) || (isSpoken && rates.audioOutput > rates.output),
  )
}

/** Nano-dollars x 10^12: what all that is possible costs at the dearest rates it can reach. `tier` in millionths. */
export function possibleCost(possible: Possible, price: Price, tier: bigint): bigint {
  const rates = dearestRates(price, possible.input)
  const tokens = (BigInt(possible.input) * rates.input + BigInt(possible.output) * rates.output) * tier
  const units = unitNumerators(possible.units ?? NO_UNITS, price)
  const rest = toolNumerator(possible.toolUses, price) + possible.surcharge * COST_SCALE
  return tokens + (units.input + units.output) * tier + rest
}

/** Microcredits: no statement charges a call with more. What exceeds its hold is the most the call can overdraw. */
export function mostCharge(
  possible: Possible,
  price: Price,
  factors: { tier: bigint; markup: bigint; level: bigint; allowBelowCost: boolean },
): bigint {
  return applyFactors(possibleCost(possible, price, factors.tier), factors).microcredits
}

/** The largest rate of each side over the tiers that so much input reaches. */
function dearestRates(price: Price, reach: number): { input: bigint; output: bigint } {
  let input = 0n
  let output = 0n
  const larger = (a: bigint, b: bigint) => (b > a ? b : a)
  for (const { above, rates } of price.tiers) {
    if (above > 0 && above >= reach) continue
    for (const rate of inputRates(rates)) input = larger(input, rate)
    for (const rate of [rates.output, rates.audioOutput, rates.imageOutput]) output = larger(output, rate)
  }
  return { input, output }
}

function inputRates(rates: Rates): bigint[] {
  const { input, cacheRead, cacheWrite5m, cacheWrite1h, audioInput, cacheReadAudio, imageInput } = rates
  return [input, cacheRead, cacheWrite5m, cacheWrite1h, audioInput, cacheReadAudio ?? 0n, imageInput ?? 0n]
}

/**
 * A statement in the middle of a stream, cut down to what the bytes that had passed by then can be: no vocabulary makes more tokens
 * than bytes. `passed` is their number, `drawn` the tokens of the images among what had passed.
 */
export function cutToPassed(usage: Usage, passed: number, drawn: number): Usage {
  if (outputTokens(usage) <= passed + drawn) return usage
  const imageOutput = Math.min(usage.imageOutput, drawn)
  return { ...usage, output: passed, reasoning: Math.min(usage.reasoning, passed), audioOutput: 0, imageOutput }
}
