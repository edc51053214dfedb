/**
 * The text of a quote: the operator's rates by deployment, the fees, the markup and the level. Rates of the data set are not written: the
 * quote names the data set, and its rates are those at the moment of the quote.
 */
import { createHash } from 'node:crypto'
import { UNITS } from '../../providers/usage.ts'
import type { Deployment, OperatorPrice, PowerLevel } from '../config/config.ts'
import type { OperatorTier } from '../config/operator-price.ts'
import { BUCKETS, DATA_SET } from '../metering/listed-price.ts'
import type { Agreed } from './agreed.ts'
import type { Candidate } from './candidate.ts'
import { quoteRefusal } from './quote-refusal.ts'

/** The most deployments of a quote, so that it fits into a header. A call with a quote uses no others. */
const MOST_DEPLOYMENTS = 24
const TIER_RATES = ['input', 'output', 'cacheRead', 'cacheWrite5m'] as const

/** A rate in nano-dollars per million tokens; null where the operator wrote none. */
type Rate = string | null

interface WrittenPrice {
  /** In the order of BUCKETS. */
  rates: readonly Rate[]
  /** `above`, and rates in the order of TIER_RATES. */
  tiers: readonly (readonly [number, ...Rate[]])[]
  /** Rates of image tokens, and of units in the order of UNITS; left out where there are none. */
  rare?: readonly Rate[]
}

export interface WrittenTerms {
  level: PowerLevel
  /** Markup and level, in millionths. */
  factors: readonly [string, string]
  fees: Readonly<Record<string, string>>
  /** The name of the data set. */
  list: string
  prices: readonly (WrittenPrice | null)[]
  /** Deployments by the hash of what they are, each with the index of its price. */
  on: readonly (readonly [string, number])[]
}

/** Writes candidates that are charged: nothing is fixed where the caller's own account pays. */
export function writtenTerms(level: PowerLevel, candidates: readonly Candidate[]): WrittenTerms {
  const charged = candidates.filter(({ payer }) => payer.isCharged)
  const prices = new Map<string, number>()
  const on = new Map<string, [string, number]>()
  for (const { deployment, priceTerms } of charged) {
    const text = textOf(priceTerms.operator)
    const index = prices.get(text) ?? prices.size
    prices.set(text, index)
    const name = nameOf(deployment)
    if (on.size < MOST_DEPLOYMENTS) on.set(`${name} ${index}`, [name, index])
  }
  const [first] = charged
  const fees = Object.entries(first?.priceTerms.toolFees ?? {}).map(([kind, fee]) => [kind, String(fee)])
  return {
    level,
    factors: [String(first?.markup ?? 0n), String(first?.level ?? 0n)],
    fees: Object.fromEntries(fees),
    list: DATA_SET,
    prices: [...prices.keys()].map((text) => JSON.parse(text)),
    on: [...on.values()],
  }
}

/** Reads a text that was signed here; call it only after the signature was checked. */
export function agreedIn(written: WrittenTerms, { at, version }: { at: Date; version: string }): Agreed {
  const [markup, level] = written.factors
  const toolFees = Object.fromEntries(Object.entries(written.fees).map(([kind, fee]) => [kind, BigInt(fee)]))
  const prices = written.prices.map((price) => (price === null ? null : readPrice(price)))
  return {
    powerLevel: written.level,
    markup: BigInt(markup),
    level: BigInt(level),
    version,
    priceTermsOf(deployment) {
      const name = nameOf(deployment)
      const own = written.on.filter(([one]) => one === name).map(([, index]) => prices[index] ?? null)
      const [first] = own
      if (first === undefined) {
        throw quoteRefusal('quote_void', 'What serves this model has changed since the quote was made.')
      }
      // If several deployments have this hash, take the one whose price is still the same.
      const same = own.find((price) => textOf(price) === textOf(deployment.price))
      return { at, operator: same === undefined ? first : same, toolFees }
    },
  }
}

/** Identifies a deployment whatever it costs: a generated id would change with the price. */
function nameOf({ provider, upstreamModel, apiBase }: Deployment): string {
  const text = JSON.stringify([provider, upstreamModel, apiBase])
  return createHash('sha256').update(text).digest('base64url').slice(0, 12)
}

function textOf(price: OperatorPrice | null): string {
  return JSON.stringify(price === null ? null : writtenPrice(price))
}

function writtenPrice(price: OperatorPrice): WrittenPrice {
  return {
    rates: BUCKETS.map((bucket) => rate(price[bucket])),
    tiers: price.tiers.map((tier) => [tier.above, ...TIER_RATES.map((name) => rate(tier[name]))]),
    ...(price.units === undefined && price.imageInput === undefined ? {} : { rare: rareRates(price) }),
  }
}

function rareRates({ imageInput, units }: OperatorPrice): Rate[] {
  return [imageInput, ...UNITS.map((unit) => units?.[unit])].map((value) => rate(value ?? null))
}

function readRare([image, ...written]: readonly Rate[]): Pick<OperatorPrice, 'imageInput' | 'units'> {
  const imageInput = amount(image)
  const units = UNITS.flatMap((unit, index) => {
    const value = amount(written[index])
    return value === null ? [] : [[unit, value] as const]
  })
  return {
    ...(imageInput === null ? {} : { imageInput }),
    ...(units.length === 0 ? {} : { units: Object.fromEntries(units) }),
  }
}

function readPrice({ rates, tiers, rare = [] }: WrittenPrice): OperatorPrice {
  const byBucket = BUCKETS.map((bucket, index) => [bucket, amount(rates[index])])
  const readTiers = tiers.map(([above, ...written]) => ({
    above,
    ...Object.fromEntries(TIER_RATES.map((name, index) => [name, amount(written[index])])),
  }))
  return { ...Object.fromEntries(byBucket), ...readRare(rare), tiers: readTiers as OperatorTier[] }
}

function rate(value: bigint | null): Rate {
  return value === null ? null : String(value)
}

function amount(written: Rate | undefined): bigint | null {
  return written === null || written === undefined ? null : BigInt(written)
}
