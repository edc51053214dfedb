/**
 * Prices what was stated and counted. A statement is charged in full if it is possible (metering/plausible.ts); beyond that, the greater
 * of our own count and the quote is charged. `api_cost` keeps what the provider stated either way: the operator may owe it.
 */

import type { Reading } from '../../providers/reading.ts'
import { NO_USAGE, type Usage, usageRecord } from '../../providers/usage.ts'
import { listingOf } from '../config/listing-of.ts'
import type { Provenance } from '../ledger/ledger.ts'
import { type Charge, COST_SCALE, charge, MILLION } from '../metering/charge.ts'
import { divideUp, trimDecimal } from '../metering/money.ts'
import { BILL_FACTOR, isPossible, possibleCost } from '../metering/plausible.ts'
import type { Price } from '../metering/price.ts'
import { type Attempt, idsOf } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { type Basis, chargeOn } from './candidate-charge.ts'
import { type PriceTerms, UNKNOWN_PRICE } from './candidate-price.ts'
import { type Counted, chargeOf, NO_PARTS, quotedCharge } from './quoted-charge.ts'

/** A possible statement above this many times our own count is charged, and the operator is told. */
const FAR_FACTOR = 20n
/** Nano-dollars: a million dollars, the most the books take. A larger stated cost of the caller's own account is not believed. */
const MOST_API_COST = 10n ** 15n
/** Nano-dollars, and microcredits: what numeric(20,9) and numeric(20,6) hold, with room for a correction. */
const MOST_BOOKED = 10n ** 19n

/** The usage to charge, and its provenance. */
export interface Measured {
  usage: Usage
  provenance: 'provider_usage' | 'estimated'
  /** True for the provider's own numbers from the end of the response: its bill and its shares by model belong to them. */
  asStated: boolean
}

export interface Priced {
  charge: Charge
  /** The usage that is charged, and that the caller sees. */
  usage: Usage
  provenance: Provenance
  /** `usage` is what the provider stated. */
  asStated: boolean
  /** For the row: what was stated where something else was charged, or why a cost is 0. */
  details: Record<string, unknown>
}

type Deps = Pick<CallDependencies, 'money' | 'observe'>

/** What was served, as far as pricing needs it. */
export interface Statement {
  reading: Reading
  /** Counts what was served with the model's tokenizer. Slow. */
  count: () => Promise<Usage>
  /** A rough and fast count of output tokens. */
  roughOutput: () => number
}

/** Prices a call that the caller's own account pays, for the row. The provider's bill comes first, even a bill of 0; no credits move. */
export function priceCallersAccount(deps: Deps, attempt: Attempt, reading: Reading, measured: Measured): Priced {
  const { usage, asStated } = measured
  const { price, byModel } = servedAt(deps, attempt, reading, asStated, attempt.candidate)
  const cost = asStated ? reading.cost : null
  const { apiCost } = charge({
    usage,
    // The operator's price replaces the list price here; the provider's bill is better than both.
    price: { ...price, source: 'data_set' },
    byModel: byModel ?? null,
    tier: tierOf(attempt, reading),
    providerCost: cost,
    markup: 0n,
    level: MILLION,
    allowBelowCost: true,
  })
  const isBelieved = apiCost <= MOST_API_COST
  const note = !isBelieved
    ? "api_cost is 0: the provider's numbers are beyond belief"
    : price === UNKNOWN_PRICE && cost === null
      ? 'api_cost is 0: no price is known for this model'
      : null
  return {
    charge: { microcredits: 0n, apiCost: isBelieved ? apiCost : 0n, markupApplied: 0n, parts: NO_PARTS },
    usage,
    provenance: cost === null ? measured.provenance : 'provider_cost',
    asStated,
    details: note === null ? {} : { note },
  }
}

/** Prices a call on the operator's account: the model and the tier that served set the price. */
export async function priceStatement(
  deps: Deps,
  attempt: Attempt,
  statement: Statement,
  measured: Measured,
): Promise<Priced> {
  const { reading } = statement
  const { candidate } = attempt
  const basis = (by: Priceable) => servedAt(deps, attempt, reading, measured.asStated, by)
  const counts = { usage: measured.usage, tier: tierOf(attempt, reading) }
  const served = basis(candidate)
  const cost = served.providerCost ?? null
  const stated = chargeOn(candidate, counts, served, candidate.floor === null ? null : basis(candidate.floor))
  const asIs: Priced = {
    charge: stated,
    usage: measured.usage,
    provenance: cost === null ? measured.provenance : 'provider_cost',
    asStated: measured.asStated,
    details: {},
  }
  if (!isBelievable(attempt, reading, measured, stated.apiCost, cost)) return dispute(deps, attempt, statement, asIs)
  if (reading.usage === null) return asIs
  if (attempt.candidate.deployment.statement === 'counted') return atMostCounted(attempt, statement, asIs)
  await alarmIfFar(deps, attempt, statement, asIs)
  return asIs
}

function isBelievable(
  attempt: Attempt,
  reading: Reading,
  { usage }: Measured,
  apiCost: bigint,
  cost: bigint | null,
): boolean {
  const { candidate } = attempt
  const possible = candidate.possible(attempt.appliedCap)
  const served = tierOf(attempt, reading)
  const tier = served > candidate.tier ? served : candidate.tier
  // A provider bills at its present prices, whatever a quote fixed.
  const { price } = candidate.floor ?? candidate
  // The cost is checked too, or a provider could raise the price by naming a dearer model than the requested one.
  const most = possibleCost(possible, price, tier) * (cost === null ? 1n : BILL_FACTOR)
  if (apiCost > divideUp(most, COST_SCALE)) return false
  // Our own count is not a statement, and beside a bill the tokens are only shown.
  return cost !== null || reading.usage === null || isPossible(usage, possible, price, tier)
}

async function dispute(deps: Deps, attempt: Attempt, statement: Statement, stated: Priced): Promise<Priced> {
  const counted = await countedCharge(attempt, statement)
  const quoted = attempt.candidate.deployment.statement === 'counted' ? counted : quotedCharge(attempt)
  const booked = counted.charge.microcredits >= quoted.charge.microcredits ? counted : quoted
  deps.observe.log.error(
    { ...idsOf(attempt.call), usage: stated.usage, stated: stated.charge.apiCost, charge: booked.charge.microcredits },
    "DISPUTED: the provider's numbers are not possible; booked at what was counted or quoted. `tollgate disputes` lists it",
  )
  return { ...replaced(booked, stated), provenance: 'disputed' }
}

/** For servers that the operator does not trust: the charge is never above what the received bytes explain. */
async function atMostCounted(attempt: Attempt, statement: Statement, stated: Priced): Promise<Priced> {
  const counted = await countedCharge(attempt, statement)
  if (stated.charge.microcredits <= counted.charge.microcredits) return stated
  return { ...replaced(counted, stated), provenance: 'estimated' }
}

/** Replaces the stated charge with another one. The row keeps what the provider may bill the operator. */
function replaced({ charge: booked, usage }: Counted, stated: Priced): Omit<Priced, 'provenance'> {
  const most = (amount: bigint) => (amount < MOST_BOOKED ? amount : MOST_BOOKED)
  const apiCost = most(stated.charge.apiCost)
  return {
    charge: { ...booked, apiCost, markupApplied: booked.microcredits - apiCost },
    usage,
    asStated: false,
    details: {
      stated_usage: usageRecord(stated.usage),
      stated_credits: trimDecimal(most(stated.charge.microcredits), 6),
    },
  }
}

async function alarmIfFar(deps: Deps, attempt: Attempt, statement: Statement, stated: Priced): Promise<void> {
  const { charge: charged, usage } = stated
  const { estimate, toolUses } = attempt.candidate
  const { tokens, media, audioInput } = estimate
  const output = statement.roughOutput()
  const units = { ...estimate.units?.expected, ...estimate.units?.most }
  const rough = { ...NO_USAGE, input: tokens + media, audioInput, output, toolFees: toolUses, ...units }
  // The rough count is an upper bound: at half of the factor the exact count decides.
  if (charged.microcredits <= (chargeOf(attempt, rough).microcredits * FAR_FACTOR) / 2n) return
  const counted = await countedCharge(attempt, statement)
  if (charged.microcredits <= counted.charge.microcredits * FAR_FACTOR) return
  stated.details = { far_above_counted: usageRecord(counted.usage) }
  const line = { ...idsOf(attempt.call), usage, charge: charged.microcredits, counted: counted.charge.microcredits }
  const words = 'FAR ABOVE WHAT WAS COUNTED: possible, and charged as stated'
  // A model with hidden reasoning regularly states far more than it shows.
  if (attempt.candidate.hidesUsage) deps.observe.log.warn(line, words)
  else deps.observe.log.error(line, words)
}

async function countedCharge(attempt: Attempt, statement: Statement): Promise<Counted> {
  const usage = await statement.count()
  return { charge: chargeOf(attempt, usage), usage }
}

/** A price, and how the prices of other models are looked up. */
type Priceable = { price: Price; priceTerms: PriceTerms }

/** The prices of the models that served, and the provider's bill as far as it is believed. */
function servedAt(deps: Deps, attempt: Attempt, reading: Reading, asStated: boolean, by: Priceable): Basis {
  const price = servedPrice(deps, attempt, reading.model, by)
  if (!asStated) return { price }
  const priced = (model: string | null) => servedPrice(deps, attempt, model, by)
  const byModel = reading.byModel?.map(({ usage, model }) => ({ usage, price: priced(model) })) ?? null
  return { price, byModel, providerCost: believedCost(reading, price) }
}

/** The operator's own price comes first. A bill of 0 is believed only where the price is 0. */
function believedCost({ cost }: Reading, price: Price): bigint | null {
  if (cost === null || price.source === 'operator') return null
  const isFree =
    price.units === undefined && price.tiers.every(({ rates }) => rates.input === 0n && rates.output === 0n)
  return cost > 0n || isFree ? cost : null
}

function servedPrice({ money }: Deps, { candidate }: Attempt, served: string | null, by: Priceable): Price {
  const { provider } = candidate.terms
  // The served model is unknown: use the most expensive of those that may have served.
  if (served === null) return by.price
  const listed = listingOf(provider, candidate.deployment, served)
  return money.prices.find({ listed, ...by.priceTerms }) ?? by.price
}

/** A cheaper tier counts only where the response states it, and no tier lowers the operator's own price. */
function tierOf(attempt: Attempt, reading: Reading): bigint {
  const { terms, deployment, tier, price, payer } = attempt.candidate
  if (reading.serviceTier === null) return tier
  const stated = terms.provider.tierMultiplier(reading.serviceTier, deployment.upstreamModel)
  return price.source === 'operator' && stated < MILLION && payer.isCharged ? MILLION : stated
}
