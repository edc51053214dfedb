/**
 * What a call of a model costs: the operator's numbers, bucket by bucket, and the data set where the operator wrote none.
 * Fails closed: a model that neither prices for input and output has no price, and its calls are refused before they are made.
 */

import type { OperatorPrice } from '../config/operator-price.ts'
import {
  BUCKETS,
  type Bucket,
  type CachedSound,
  findListedModel,
  type ListedModel,
  type ListedPrice,
  type ListedRates,
} from './listed-price.ts'

/** Nano-dollars per million tokens. */
export type Rates = Record<Bucket, bigint> & CachedSound

export interface Price {
  source: 'operator' | 'data_set'
  /** `genai-prices@0.1.8 openai/gpt-4o-mini`, `config.yaml`, or both where the operator priced only one side. */
  reference: string
  /** Whole-request tiers by total input tokens, ascending; the first has `above: 0` and always applies. */
  tiers: readonly { above: number; rates: Rates }[]
  /** Nano-dollars per use, by kind: `web_search`, `file_search` ... */
  toolFees: Readonly<Record<string, bigint>>
  /** Tokens, where the data set knows it. */
  contextWindow: number | null
}

export interface PriceQuestion {
  /** Where the data set lists the model, in its own names; null where it can't. */
  listed: { provider: string; model: string } | null
  /** When the call was admitted; some prices change on a date. */
  at: Date
  operator: OperatorPrice | null
  /** Nano-dollars per use; they win over the data set's. */
  toolFees?: Readonly<Record<string, bigint>>
  /** Nothing but input is billed: output that nobody priced costs nothing. @default false */
  inputOnly?: boolean
}

export interface PriceBook {
  /** Constant time for a model asked for before. Operator prices and fees are told apart by identity, so don't mutate them. */
  find(question: PriceQuestion): Price | null
}

/** Rates of the tier with the largest `above` that is less than the call's total input tokens; they price all its tokens. */
export function ratesFor(price: Price, inputTokens: number): Rates {
  let rates: Rates | undefined
  for (const tier of price.tiers) if (rates === undefined || inputTokens > tier.above) rates = tier.rates
  if (rates === undefined) throw new RangeError(`price without tiers: ${price.reference}`)
  return rates
}

/**
 * One price no less than any of several, bucket by bucket and tier by tier: what may be charged when any of them may serve. The
 * first is the one named, and stands for itself where it is alone.
 */
export function dearestPrice(prices: readonly Price[]): Price {
  const [first, ...others] = prices
  if (first === undefined) throw new RangeError('no price to choose from')
  if (others.length === 0) return first
  const starts = [...new Set(prices.flatMap(({ tiers }) => tiers.map(({ above }) => above)))].sort((a, b) => a - b)
  const tiers = starts.map((above) => {
    const rates = { ...ratesFor(first, above + 1) }
    for (const other of others) {
      const theirs = ratesFor(other, above + 1)
      for (const bucket of BUCKETS) if (theirs[bucket] > rates[bucket]) rates[bucket] = theirs[bucket]
    }
    return { above, rates }
  })
  const windows = prices.map(({ contextWindow }) => contextWindow)
  const known = windows.filter((window) => window !== null)
  return { ...first, tiers, contextWindow: known.length === windows.length ? Math.max(...known) : null }
}

/** Finds a price without remembering it. `null`: nobody wrote a price for input and output, so the call must be refused. */
export function findPrice(question: PriceQuestion): Price | null {
  const listed = question.listed === null ? null : findListedModel(question.listed.provider, question.listed.model)
  return merge(listed, listed?.at(question.at) ?? null, question)
}

/** Names come from callers where a model list has wildcards, so what is remembered must be bounded. */
const REMEMBERED_MODELS = 2_000
const NOTHING = Object.freeze({})

/** A price book that remembers what it returned, model names up to a bound (the oldest is forgotten first). */
export function createPriceBook(): PriceBook {
  const models = new Map<string, ListedModel | null>()
  type Merged = WeakMap<object, WeakMap<object, WeakMap<object, { price: Price | null }>>>
  const merged: Merged = new WeakMap()
  const mergedInput: Merged = new WeakMap()

  function listedModel(provider: string, model: string): ListedModel | null {
    const name = `${provider}\0${model}`
    const known = models.get(name)
    if (known !== undefined) return known
    const found = findListedModel(provider, model)
    if (models.size >= REMEMBERED_MODELS)
      for (const oldest of models.keys()) {
        models.delete(oldest)
        break
      }
    models.set(name, found)
    return found
  }

  return {
    find(question) {
      const { listed: name, at, operator, toolFees, inputOnly = false } = question
      const listed = name === null ? null : listedModel(name.provider, name.model)
      const row = listed?.at(at) ?? null
      const byRow = within(inputOnly ? mergedInput : merged, operator ?? NOTHING, () => new WeakMap())
      const byFees = within(byRow, row ?? NOTHING, () => new WeakMap())
      return within(byFees, toolFees ?? NOTHING, () => ({ price: merge(listed, row, question) })).price
    },
  }
}

function within<Value>(map: WeakMap<object, Value>, key: object, make: () => Value): Value {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}

function merge(
  model: ListedModel | null,
  listed: ListedPrice | null,
  { operator, toolFees = {}, inputOnly = false }: PriceQuestion,
): Price | null {
  const written = operator !== null && writesAnything(operator) ? operator : null
  const starts = new Set([0])
  for (const tier of listed?.tiers ?? []) starts.add(tier.above)
  for (const tier of written?.tiers ?? []) starts.add(tier.above)
  const tiers: { above: number; rates: Rates }[] = []
  for (const above of [...starts].sort((a, b) => a - b)) {
    const rates = combine(writtenAt(written, above), listedAt(listed, above), inputOnly)
    if (rates === null) return null
    // A data set tier on a side the operator priced flat changes nothing; keep the table as short as it reads.
    const last = tiers.at(-1)
    if (last === undefined || BUCKETS.some((bucket) => rates[bucket] !== last.rates[bucket]))
      tiers.push({ above, rates })
  }
  const complete = written !== null && written.input !== null && written.output !== null
  const references = [written === null ? null : 'config.yaml', complete ? null : (model?.reference ?? null)]
  return {
    source: written === null ? 'data_set' : 'operator',
    reference: references.filter((part) => part !== null).join(', '),
    tiers,
    toolFees: { ...listed?.toolFees, ...toolFees },
    contextWindow: model?.contextWindow ?? null,
  }
}

const UNLISTED: ListedRates = Object.freeze(
  Object.fromEntries(BUCKETS.map((bucket) => [bucket, null])) as Record<Bucket, null>,
)

function writesAnything(operator: OperatorPrice): boolean {
  return operator.tiers.length > 0 || BUCKETS.some((bucket) => operator[bucket] !== null)
}

function listedAt(listed: ListedPrice | null, above: number): ListedRates {
  return listed?.tiers.findLast((tier) => tier.above <= above)?.rates ?? UNLISTED
}

/** The operator's rates for requests above a threshold: each is the one written in the highest tier reached that has it. */
function writtenAt(operator: OperatorPrice | null, above: number): ListedRates {
  if (operator === null) return UNLISTED
  const rates: ListedRates = { ...UNLISTED }
  for (const bucket of BUCKETS) rates[bucket] = operator[bucket]
  for (const tier of operator.tiers) {
    if (tier.above > above) continue
    for (const bucket of ['input', 'output', 'cacheRead', 'cacheWrite5m'] as const)
      rates[bucket] = tier[bucket] ?? rates[bucket]
  }
  return rates
}

/**
 * One tier's rates. Where the operator wrote an input rate, the cache buckets it left out cost that much: the data set's
 * discounts are on the provider's price, not on the operator's. Sound and images keep the data set's rates (they cost ten
 * times as much as text) unless the operator wrote that the side is free.
 */
function combine(written: ListedRates, listed: ListedRates, inputOnly: boolean): Rates | null {
  const input = written.input ?? listed.input
  const output = written.output ?? listed.output ?? (inputOnly ? 0n : null)
  if (input === null || output === null) return null
  const cached = written.input === null ? listed : UNLISTED
  const heard = written.input === 0n ? UNLISTED : listed
  const made = written.output === 0n ? UNLISTED : listed
  const cacheWrite5m = written.cacheWrite5m ?? cached.cacheWrite5m ?? input
  return {
    input,
    cacheRead: written.cacheRead ?? cached.cacheRead ?? input,
    ...(written.cacheRead === null && cached.cacheReadAudio !== undefined
      ? { cacheReadAudio: cached.cacheReadAudio }
      : {}),
    cacheWrite5m,
    cacheWrite1h: written.cacheWrite1h ?? cached.cacheWrite1h ?? cacheWrite5m,
    output,
    audioInput: written.audioInput ?? heard.audioInput ?? input,
    audioOutput: written.audioOutput ?? made.audioOutput ?? output,
    imageOutput: written.imageOutput ?? made.imageOutput ?? output,
  }
}
