/**
 * What a quote fixes, as it is written into its text: the operator's rates by deployment, the fees, the markup, the level. Rates of the
 * data set are not written: they are those of the moment of the quote, and the data set is named.
 */
import { createHash } from 'node:crypto'
import type { Deployment, OperatorPrice, PowerLevel } from '../config/config.ts'
import type { OperatorTier } from '../config/operator-price.ts'
import { BUCKETS, DATA_SET } from '../metering/listed-price.ts'
import type { Agreed } from './agreed.ts'
import type { Candidate } from './candidate.ts'
import { quoteRefusal } from './quote-refusal.ts'

/** So that a quote fits into a header. Those that come after are not called for a call with a quote. */
const MOST_DEPLOYMENTS = 24
const TIER_RATES = ['input', 'output', 'cacheRead', 'cacheWrite5m'] as const

/** A rate in nano-dollars per million tokens; null where the operator wrote none. */
type Rate = string | null

interface WrittenPrice {
  /** In the order of BUCKETS. */
  rates: readonly Rate[]
  /** `above`, and rates in the order of TIER_RATES. */
  tiers: readonly (readonly [number, ...Rate[]])[]
}

export interface WrittenTerms {
  level: PowerLevel
  /** Millionths: markup, level. */
  factors: readonly [string, string]
  fees: Readonly<Record<string, string>>
  /** The data set. */
  list: string
  prices: readonly (WrittenPrice | null)[]
  /** A deployment by the hash of what it is, and which price is its. */
  on: readonly (readonly [string, number])[]
}

/** Only candidates that are charged: nothing is fixed where the caller's own account pays. */
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

/** Only of a text that was signed here. */
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
      // Of several deployments with one hash, this takes the one whose price is still the same.
      const same = own.find((price) => textOf(price) === textOf(deployment.price))
      return { at, operator: same === undefined ? first : same, toolFees }
    },
  }
}

/** What it is, whatever it costs: the id that is made for a deployment changes with its price. */
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
  }
}

function readPrice({ rates, tiers }: WrittenPrice): OperatorPrice {
  const byBucket = BUCKETS.map((bucket, index) => [bucket, amount(rates[index])])
  const readTiers = tiers.map(([above, ...written]) => ({
    above,
    ...Object.fromEntries(TIER_RATES.map((name, index) => [name, amount(written[index])])),
  }))
  return { ...Object.fromEntries(byBucket), tiers: readTiers as OperatorTier[] }
}

function rate(value: bigint | null): Rate {
  return value === null ? null : String(value)
}

function amount(written: Rate | undefined): bigint | null {
  return written === null || written === undefined ? null : BigInt(written)
}
