/**
 * Prices as the bundled data set lists them, in our integers. The library chooses the model (its aliases, dated names and
 * regular expressions); we take the row that is in force at an instant and convert it once. Its floats are never added up.
 */
import { calcPrice, type ModelInfo, type ModelPrice } from '@pydantic/genai-prices'
import type { Listing } from '../../providers/listing.ts'
import type { Units } from '../../providers/usage.ts'
import { divideUp, parseDecimal } from './money.ts'

/** Name and pinned version of the data set, as it stands in `Price.reference`. A test holds it to the installed package. */
export const DATA_SET = 'genai-prices@0.1.8'

export const BUCKETS = [
  'input',
  'cacheRead',
  'cacheWrite5m',
  'cacheWrite1h',
  'output',
  'audioInput',
  'audioOutput',
  'imageOutput',
] as const
export type Bucket = (typeof BUCKETS)[number]

/** Nano-dollars per million tokens; `null` where the data set says nothing about a bucket. */
export type ListedRates = Record<Bucket, bigint | null> & RareRates

/** What few models price apart. */
export interface RareRates {
  /** Cached sound, where that is not what cached text costs. */
  cacheReadAudio?: bigint
  /** Tokens of images that are sent, where they are not what text costs. */
  imageInput?: bigint
}

/** Nano-dollars per million units, of those that have a price. */
export type UnitRates = Readonly<Partial<Record<keyof Units, bigint>>>

/** Tiers ascending by `above`, the first at 0; each prices the whole request. Tool fees in nano-dollars per use. */
export interface ListedPrice {
  tiers: readonly { above: number; rates: ListedRates }[]
  toolFees: Readonly<Record<string, bigint>>
  units: UnitRates
}

export interface ListedModel {
  /** e.g. `genai-prices@0.1.8 openai/gpt-4o-mini`: the row that matched, which for a dated or unknown variant is its family's. */
  reference: string
  contextWindow: number | null
  /** The price in force at an instant (some change on a date or by the time of day). */
  at(instant: Date): ListedPrice
}

/** Looks a model up under the data set's own name of a provider; `null` where the data set doesn't know the provider or the model. Linear in the provider's models. */
export function findListedModel(listing: Listing): ListedModel | null {
  const { provider, model } = listing
  const found = calcPrice({ input_tokens: 0 }, model, { providerId: provider })
  // The library also finds providers by likeness; a price of anyone but the provider meant would be a guess.
  if (found === null || found.provider.id !== provider) return null
  return {
    reference: referenceOf(`${found.provider.id}/${found.model.id}`, listing),
    contextWindow: found.model.context_window ?? null,
    at: priceSelector(found.model, listing),
  }
}

function referenceOf(row: string, { percent = 100 }: Listing): string {
  return percent === 100 ? `${DATA_SET} ${row}` : `${DATA_SET} ${row} at ${percent} %`
}

/** The last row whose condition holds, else the first: the library's own rule. Rows are converted once, here. */
function priceSelector(model: ModelInfo, listing: Listing): (instant: Date) => ListedPrice {
  const convert = (prices: ModelPrice) => placed(asListed(prices), listing)
  if (!Array.isArray(model.prices)) {
    const only = convert(model.prices)
    return () => only
  }
  const rows = model.prices.map((row) => ({ applies: condition(row.constraint), price: convert(row.prices) }))
  const first = rows[0]
  if (first === undefined) throw new RangeError(`${model.id} is listed with an empty list of prices`)
  return (instant) => (rows.findLast((row) => row.applies(instant)) ?? first).price
}

type Constraint = Exclude<ModelInfo['prices'], ModelPrice>[number]['constraint']

function condition(constraint: Constraint): (instant: Date) => boolean {
  if (constraint === undefined) return () => true
  if (constraint.type === 'start_date') {
    const start = Date.parse(constraint.start_date)
    return (instant) => instant.getTime() >= start
  }
  const start = secondOfDay(constraint.start_time)
  const end = secondOfDay(constraint.end_time)
  return (instant) => {
    const now = (instant.getTime() / 1000) % 86_400
    return end < start ? now >= start || now < end : now >= start && now < end
  }
}

/** `08:30:00+02:00` to seconds after midnight UTC. */
function secondOfDay(time: string): number {
  const milliseconds = Date.parse(`1970-01-02T${time}`)
  if (Number.isNaN(milliseconds)) throw new RangeError(`not a time of day with an offset: ${time}`)
  return (milliseconds / 1000) % 86_400
}

const PRICE_KEYS: Readonly<Record<Bucket, string>> = {
  input: 'input_mtok',
  cacheRead: 'cache_read_mtok',
  cacheWrite5m: 'cache_write_mtok',
  cacheWrite1h: 'cache_write_1h_mtok',
  output: 'output_mtok',
  audioInput: 'input_audio_mtok',
  audioOutput: 'output_audio_mtok',
  imageOutput: 'output_image_mtok',
}

/** Fees are listed in dollars per thousand uses. */
const FEE_KEYS: Readonly<Record<string, string>> = {
  web_searches_kcount: 'web_search',
  storage_searches_kcount: 'file_search',
  social_searches_kcount: 'social_search',
}

type Listed = ModelPrice[string]

/** What the model costs where it stands, with what the list leaves out. */
function placed({ tiers, toolFees, units }: ListedPrice, { percent = 100, cacheWrites }: Listing): ListedPrice {
  const here = (rate: bigint | null) => (rate === null ? null : divideUp(rate * BigInt(percent), 100n))
  const ofInput = (input: bigint | null, share: number | undefined) =>
    input === null || share === undefined ? null : divideUp(input * BigInt(share), 100n)
  return {
    toolFees,
    units,
    tiers: tiers.map(({ above, rates: listed }) => {
      const rates = Object.fromEntries(
        Object.entries(listed).map(([bucket, rate]) => [bucket, here(rate)]),
      ) as unknown as ListedRates
      const { input } = rates
      rates.cacheWrite5m ??= ofInput(input, cacheWrites?.fiveMinutes)
      rates.cacheWrite1h ??= ofInput(input, cacheWrites?.hour)
      return { above, rates }
    }),
  }
}

function asListed(prices: ModelPrice): ListedPrice {
  const starts = new Set([0])
  for (const bucket of BUCKETS) for (const tier of tiersOf(prices[PRICE_KEYS[bucket]])) starts.add(tier.start)
  const tiers = [...starts]
    .sort((a, b) => a - b)
    .map((above) => {
      const rates = Object.fromEntries(BUCKETS.map((bucket) => [bucket, rateAbove(prices[PRICE_KEYS[bucket]], above)]))
      const sound = rateAbove(prices.cache_audio_read_mtok, above)
      const image = rateAbove(prices.input_image_mtok, above)
      const rare = {
        ...(sound === null ? {} : { cacheReadAudio: sound }),
        ...(image === null ? {} : { imageInput: image }),
      }
      return { above, rates: { ...rates, ...rare } as ListedRates }
    })
  const toolFees: Record<string, bigint> = {}
  for (const [key, kind] of Object.entries(FEE_KEYS)) {
    const fee = prices[key]
    if (typeof fee === 'number') toolFees[kind] = parseDecimal(shortest(fee), 6, { roundUp: true })
  }
  return { tiers, toolFees, units: unitsOf(prices) }
}

/** Recordings are listed by the hour, which is 3.6 million milliseconds. */
function unitsOf(prices: ModelPrice): UnitRates {
  const hour = prices.input_audio_hours ?? prices.audio_hours
  return typeof hour === 'number' ? { milliseconds: divideUp(nanoDollars(hour) * 10n, 36n) } : {}
}

function tiersOf(listed: Listed): readonly { start: number; price: number }[] {
  return typeof listed === 'object' ? listed.tiers : []
}

/** A tier applies to requests of more tokens than its start; tiers of the data set are not always in order. */
function rateAbove(listed: Listed, above: number): bigint | null {
  if (listed === undefined) return null
  if (typeof listed === 'number') return nanoDollars(listed)
  let reached = { start: -1, price: listed.base }
  for (const tier of listed.tiers) if (tier.start <= above && tier.start > reached.start) reached = tier
  return nanoDollars(reached.price)
}

function nanoDollars(dollars: number): bigint {
  return parseDecimal(shortest(dollars), 9, { roundUp: true })
}

/** A double is exact to fifteen digits: the data set holds 0.18000000000000002 where 0.18 is meant. */
function shortest(value: number): string {
  return String(Number(value.toPrecision(15)))
}
