/**
 * The price of a call as bounded before it is made. Every rate is the dearest the request can trigger, and every sum is
 * rounded by the function that rounds charges, so `input + outputFor(n)` is never below the charge of a call that stays
 * within the same counts, and equals it to the microcredit where the rates leave no room.
 */
import type { Units } from '../../providers/usage.ts'
import { applyFactors, COST_SCALE, MILLION, toolNumerator, unitNumerators } from './charge.ts'
import { leastOfWindow } from './estimate.ts'
import { BUCKETS } from './listed-price.ts'
import type { Price, Rates } from './price.ts'

export interface QuoteInput {
  estimate: {
    /** Text tokens by the fast upper estimate. */
    tokens: number
    /** UTF-8 bytes of the same text: no tokenizer makes more tokens than bytes. */
    bytes: number
    /** Tokens of images and files at most, on top of both: all of them no more than the model's context window. */
    media: number
    /** Tokens of audio, on top of both, at the audio rate. */
    audioInput: number
    /** The least of both that a hold covers, and whether a part of the context window is in it; left out where that is all. */
    least?: { media: number; audioInput: number; window: boolean }
    /** Text the response is predicted to be, tokens and bytes: what is wrong in it is billed as output beyond any cap. */
    predicted?: { tokens: number; bytes: number }
    /** What is billed by something else than tokens, at most. */
    units?: { most: Units }
    /** Counted uses of priced tools. */
    toolFees: Readonly<Record<string, number>>
    /** Set when something in the request is bounded by nothing but the model's context window (a file by id). */
    contextBound?: boolean
    /** It may be sound, of which a token costs more. */
    unboundedSound?: boolean
  }
  /** The request's `n`. */
  choices: number
  price: Price
  /** Factors in millionths, as in a charge. */
  markup: bigint
  level: bigint
  tier?: bigint
  allowBelowCost: boolean
  /** Nano-dollars held on top of the input: what tools of the provider's own may cost by the operator's word. */
  surcharge?: bigint
  /** Whether the request asks for spoken output. */
  audioOutput: boolean
  /** Whether the request asks for cache entries that live an hour (they cost more than those of five minutes). */
  longCacheWrites?: boolean
}

export interface Quote {
  /** Microcredits for the input as estimated fast, fees and predicted text included. */
  input: bigint
  /** Microcredits for the input when every byte is a token, fees included. */
  inputBytes: bigint
  /** Microcredits of either that may be left unheld: what media cost at most above the least of them that is held. */
  uncertain: bigint
  /** Microcredits for `tokens` output tokens in each of the request's choices. */
  outputFor(tokens: number): bigint
  /** The largest output cap (tokens a choice) whose `outputFor` fits in the amount; `Number.MAX_SAFE_INTEGER` where output is free. */
  outputTokensIn(microcredits: bigint): number
  /** The highest list prices this was reckoned with, in nano-dollars per million tokens of text. */
  maxPrice: { input: bigint; output: bigint }
}

const NO_PREDICTION = { tokens: 0, bytes: 0 }

/** @throws {RangeError} for a context-bound estimate on a model whose context window is unknown: nothing bounds it. */
export function quote(q: QuoteInput): Quote {
  const tier = q.tier ?? MILLION
  const { tokens, bytes, media, audioInput, predicted = NO_PREDICTION } = q.estimate
  const window = contextBound(q)
  const least = leastOf(q, window)
  const byteBound = Math.max(bytes, tokens) + media
  const rates = dearest(q.price, Math.max(byteBound + audioInput, window))
  const inputRate = largest(
    rates.input,
    rates.cacheRead,
    rates.cacheWrite5m,
    q.longCacheWrites ? rates.cacheWrite1h : 0n,
  )
  const heardRate = largest(rates.audioInput, inputRate)
  const windowRate = q.estimate.unboundedSound ? heardRate : inputRate
  const fees = toolNumerator(q.estimate.toolFees, q.price) + (q.surcharge ?? 0n) * COST_SCALE
  const outputRate = largest(rates.output, rates.imageOutput, q.audioOutput ? rates.audioOutput : 0n)
  // An image's tokens may cost more than a text's.
  const seen = largest((rates.imageInput ?? 0n) - inputRate, 0n)
  const units = unitsOf(q)
  const inputOf = (count: number, images: number, predicted: number, heard = audioInput, read = window) => {
    const said = largest(BigInt(count) * inputRate + BigInt(images) * seen, BigInt(read) * windowRate)
    const tokens = said + BigInt(predicted) * outputRate + BigInt(heard) * heardRate
    return applyFactors((tokens + units) * tier + fees, q).microcredits
  }
  const input = inputOf(tokens + media, media, predicted.tokens)
  const leastInput = inputOf(tokens + least.media, least.media, predicted.tokens, least.audioInput, least.window)
  const numeratorPerToken = outputRate * tier * BigInt(Math.max(1, q.choices))
  return {
    input,
    inputBytes: inputOf(byteBound, media, Math.max(predicted.tokens, predicted.bytes)),
    uncertain: leastInput < input ? input - leastInput : 0n,
    outputFor: (count) => applyFactors(BigInt(count) * numeratorPerToken, q).microcredits,
    outputTokensIn: (microcredits) => tokensIn(microcredits, numeratorPerToken, q),
    maxPrice: { input: rates.input, output: rates.output },
  }
}

function unitsOf({ estimate, price }: QuoteInput): bigint {
  if (estimate.units === undefined) return 0n
  const { input, output } = unitNumerators(estimate.units.most, price)
  return input + output
}

/** Tokens. A part of the window stands for what nothing tells the usual size of. */
function leastOf({ estimate }: QuoteInput, window: number): { media: number; audioInput: number; window: number } {
  const { media, audioInput, least } = estimate
  if (least === undefined) return { media, audioInput, window }
  return { ...least, window: least.window ? leastOfWindow(window) : 0 }
}

/** One that is never below either of two. Output is bounded by both; the highest list prices are those of the second. */
export function larger(a: Quote, b: Quote): Quote {
  const input = largest(a.input, b.input)
  return {
    input,
    inputBytes: largest(a.inputBytes, b.inputBytes),
    uncertain: input - largest(a.input - a.uncertain, b.input - b.uncertain),
    outputFor: (tokens) => largest(a.outputFor(tokens), b.outputFor(tokens)),
    outputTokensIn: (microcredits) => Math.min(a.outputTokensIn(microcredits), b.outputTokensIn(microcredits)),
    maxPrice: b.maxPrice,
  }
}

function contextBound(q: QuoteInput): number {
  if (q.estimate.contextBound !== true) return 0
  if (q.price.contextWindow === null)
    throw new RangeError(`no known context window bounds this input (${q.price.reference})`)
  return q.price.contextWindow
}

/** Tiers need not rise in every bucket, so each bucket takes its own maximum over the tiers the input can reach. */
function dearest(price: Price, reachableTokens: number): Rates {
  const first = price.tiers[0]
  if (first === undefined) throw new RangeError(`price without tiers: ${price.reference}`)
  const rates = { ...first.rates }
  for (const tier of price.tiers) {
    if (tier.above >= reachableTokens) continue
    for (const bucket of BUCKETS) rates[bucket] = largest(rates[bucket], tier.rates[bucket])
    if (tier.rates.imageInput !== undefined) rates.imageInput = largest(rates.imageInput ?? 0n, tier.rates.imageInput)
  }
  return rates
}

/** The exact inverse of `outputFor`: largest t with ceil(t x a / A) <= m and, unless below cost is allowed, ceil(t x b / B) <= m. */
function tokensIn(microcredits: bigint, numeratorPerToken: bigint, q: QuoteInput): number {
  if (microcredits <= 0n && numeratorPerToken > 0n) return 0
  const costScale = MILLION * MILLION
  const marked = numeratorPerToken * (MILLION + q.markup) * q.level
  let tokens = marked === 0n ? null : (microcredits * costScale * MILLION * MILLION) / marked
  if (!q.allowBelowCost && numeratorPerToken > 0n) {
    const atCost = (microcredits * costScale) / numeratorPerToken
    if (tokens === null || atCost < tokens) tokens = atCost
  }
  const most = BigInt(Number.MAX_SAFE_INTEGER)
  return Number(tokens === null || tokens > most ? most : tokens)
}

function largest(first: bigint, ...others: bigint[]): bigint {
  let result = first
  for (const other of others) if (other > result) result = other
  return result
}
