/**
 * What a call of a model costs: the operator's numbers, bucket by bucket, and the data set where the operator wrote none.
 * Fails closed: a model that neither prices for input and output has no price, and its calls are refused before they are made.
 */

import type { Listing } from '../../providers/listing.ts'
import { UNITS, type Unit } from '../../providers/usage.ts'
import type { OperatorPrice } from '../config/operator-price.ts'
import {
  BUCKETS,
  type Bucket,
  findListedModel,
  type ListedModel,
  type ListedPrice,
  type ListedRates,
  type RareRates,
  type UnitRates,
} from './listed-price.ts'

/** Nano-dollars per million tokens. */
export type Rates = Record<Bucket, bigint> & RareRates

export interface Price {
  source: 'operator' | 'data_set'
  /** `genai-prices@0.1.8 openai/gpt-4o-mini`, `config.yaml`, or both where the operator priced only one side. */
  reference: string
  /** Whole-request tiers by total input tokens, ascending; the first has `above: 0` and always applies. */
  tiers: readonly { above: number; rates: Rates }[]
  /** Nano-dollars per use, by kind: `web_search`, `file_search` ... */
  toolFees: Readonly<Record<string, bigint>>
  /** What a call is billed by in the place of tokens: such a price has rates of 0 for tokens nobody priced besides. Left out elsewhere. */
  units?: UnitRates
  /** Tokens, where the data set knows it. */
  contextWindow: number | null
}

export interface PriceQuestion {
  /** Where the data set lists the model, in its own names; null where it can't. */
  listed: Listing | null
  /** When the call was admitted; some prices change on a date. */
  at: Date
  operator: OperatorPrice | null
  /** Nano-dollars per use; they win over the data set's. */
  toolFees?: Readonly<Record<string, bigint>>
  /** Nothing but input is billed: output that nobody priced costs nothing. @default false */
  inputOnly?: boolean
  /** What such a call may be billed by: where the first of them has a price, no token needs one. @default nothing but tokens */
  units?: readonly Unit[]
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
  const listed = question.listed === null ? null : findListedModel(question.listed)
  return merge(listed, listed?.at(question.at) ?? null, question)
}

/** Names come from callers where a model list has wildcards, so what is remembered must be bounded. */
const REMEMBERED_MODELS = 2_000
const NOTHING = Object.freeze({})

/** A price book that remembers what it returned, model names up to a bound (the oldest is forgotten first). */
export function createPriceBook(): PriceBook {
  const models = new Map<string, ListedModel | null>()
  type Merged = WeakMap<object, WeakMap<object, WeakMap<object, { price: Price | null }>>>
  /** By what has to be priced: a handful. */
  const byNeed = new Map<string, Merged>()

  function mergedFor({ inputOnly = false, units = [] }: PriceQuestion): Merged {
    const need = `${inputOnly} ${units.join()}`
    const known = byNeed.get(need)
    if (known !== undefined) return known
    const made: Merged = new WeakMap()
    byNeed.set(need, made)
    return made
  }

  function listedModel(listing: Listing): ListedModel | null {
    const { provider, model, percent, cacheWrites } = listing
    const name = `${provider}\0${model}\0${percent ?? ''}\0${cacheWrites?.hour ?? ''}`
    const known = models.get(name)
    if (known !== undefined) return known
    const found = findListedModel(listing)
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
      const { listed: name, at, operator, toolFees } = question
      const listed = name === null ? null : listedModel(name)
      const row = listed?.at(at) ?? null
      const byRow = within(mergedFor(question), operator ?? NOTHING, () => new WeakMap())
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

function merge(model: ListedModel | null, found: ListedPrice | null, question: PriceQuestion): Price | null {
  const { operator, toolFees = {}, inputOnly = false } = question
  const byUnit = unitRates(found, question)
  const written = operator !== null && (writesAnything(operator) || byUnit?.isWritten) ? operator : null
  // The operator's price of a unit is all that such a call costs, but for tokens he priced too.
  const listed = byUnit?.isWritten ? null : found
  const starts = new Set([0])
  for (const tier of listed?.tiers ?? []) starts.add(tier.above)
  for (const tier of written?.tiers ?? []) starts.add(tier.above)
  const tiers: { above: number; rates: Rates }[] = []
  for (const above of [...starts].sort((a, b) => a - b)) {
    const rates = combine(writtenAt(written, above), listedAt(listed, above), { inputOnly, byUnit: byUnit !== null })
    if (rates === null) return null
    // A data set tier on a side the operator priced flat changes nothing; keep the table as short as it reads.
    const last = tiers.at(-1)
    if (last === undefined || BUCKETS.some((bucket) => rates[bucket] !== last.rates[bucket]))
      tiers.push({ above, rates })
  }
  const complete = byUnit?.isWritten || (written !== null && written.input !== null && written.output !== null)
  const references = [written === null ? null : 'config.yaml', complete ? null : (model?.reference ?? null)]
  return {
    source: written === null ? 'data_set' : 'operator',
    reference: references.filter((part) => part !== null).join(', '),
    tiers,
    toolFees: { ...listed?.toolFees, ...toolFees },
    ...(byUnit === null ? {} : { units: byUnit.rates }),
    contextWindow: model?.contextWindow ?? null,
  }
}

/** The operator's where he wrote the first of those that are asked for, else those of the data set. Null: such a call is billed by tokens. */
function unitRates(
  listed: ListedPrice | null,
  { operator, units: asked = [] }: PriceQuestion,
): { rates: UnitRates; isWritten: boolean } | null {
  const [first] = asked
  if (first === undefined) return null
  const among = (rates: UnitRates) =>
    Object.fromEntries(
      UNITS.flatMap((unit) => (asked.includes(unit) && rates[unit] !== undefined ? [[unit, rates[unit]]] : [])),
    )
  if (operator?.units?.[first] !== undefined) return { rates: among(operator.units), isWritten: true }
  return listed?.units[first] === undefined ? null : { rates: among(listed.units), isWritten: false }
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
  if (operator.imageInput !== undefined) rates.imageInput = operator.imageInput
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
function combine(
  written: ListedRates,
  listed: ListedRates,
  { inputOnly, byUnit }: { inputOnly: boolean; byUnit: boolean },
): Rates | null {
  const input = written.input ?? listed.input ?? (byUnit ? 0n : null)
  const output = written.output ?? listed.output ?? (inputOnly || byUnit ? 0n : null)
  if (input === null || output === null) return null
  const cached = written.input === null ? listed : UNLISTED
  const heard = written.input === 0n ? UNLISTED : listed
  const made = written.output === 0n ? UNLISTED : listed
  const image = written.imageInput ?? (written.input === 0n ? undefined : listed.imageInput)
  const cacheWrite5m = written.cacheWrite5m ?? cached.cacheWrite5m ?? input
  return {
    input,
    cacheRead: written.cacheRead ?? cached.cacheRead ?? input,
    ...(written.cacheRead === null && cached.cacheReadAudio !== undefined
      ? { cacheReadAudio: cached.cacheReadAudio }
      : {}),
    ...(image === undefined ? {} : { imageInput: image }),
    cacheWrite5m,
    cacheWrite1h: written.cacheWrite1h ?? cached.cacheWrite1h ?? cacheWrite5m,
    output,
    audioInput: written.audioInput ?? heard.audioInput ?? input,
    audioOutput: written.audioOutput ?? made.audioOutput ?? output,
    imageOutput: written.imageOutput ?? made.imageOutput ?? output,
  }
}
