/** Finds the price of a call. A call that can't be priced or bounded is refused here, by name, before anything is held. */

import type { ServerTool } from '../../providers/provider.ts'
import type { Unit } from '../../providers/usage.ts'
import type { Config, Deployment, OperatorPrice } from '../config/config.ts'
import { listingOf } from '../config/listing-of.ts'
import { TollgateError } from '../http/errors.ts'
import { BUCKETS, type Bucket } from '../metering/listed-price.ts'
import { dearestPrice, type Price, type PriceBook } from '../metering/price.ts'
import type { EndpointRequest, Terms } from './endpoint.ts'

type Listing = NonNullable<ReturnType<typeof listingOf>>

/** How prices are looked up: at this moment, or at the moment of a quote. */
export interface PriceTerms {
  /** Some prices of the data set change on a date. */
  at: Date
  /** The operator's price of the deployment. */
  operator: OperatorPrice | null
  /** The operator's fees, by the kind of tool. */
  toolFees: Readonly<Record<string, bigint>>
  /** The call makes no output, so a price for input is enough. */
  inputOnly?: boolean
  /** Units that the call may be billed by instead of tokens. */
  units?: readonly Unit[]
}

export interface PriceContext {
  prices: PriceBook
  request: Pick<EndpointRequest, 'model'>
  priceTerms: PriceTerms
}

/** The price of the model, or the dearest of all models that may serve the request. @throws {TollgateError} 400. */
export function candidatePrice(terms: Terms, deployment: Deployment, context: PriceContext): Price {
  const { provider, mayServe } = terms
  if (terms.isFree) return FREE
  const named = deployment.upstreamModel
  const models = [...new Set([named, ...mayServe])]
  const found = models.map((model) => {
    const price = find(
      listingOf(provider, model === named ? deployment : { upstreamModel: model, apiBase: deployment.apiBase }),
      context,
    )
    return price ?? refuseUnpriced(model === named ? context.request.model : model, provider.unpriced(model), terms)
  })
  const price = dearestPrice(found)
  // Where the data set does not know the window, the operator may.
  return price.contextWindow === null && deployment.maxInputTokens !== null
    ? { ...price, contextWindow: deployment.maxInputTokens }
    : price
}

/** Of what its provider bills nothing for. */
const FREE: Price = Object.freeze({
  source: 'data_set',
  reference: 'free of charge',
  tiers: [{ above: 0, rates: Object.fromEntries(BUCKETS.map((bucket) => [bucket, 0n])) as Record<Bucket, bigint> }],
  toolFees: {},
  contextWindow: null,
})

/** Stands for an unknown price: enough for a call that is not charged here. */
export const UNKNOWN_PRICE: Price = Object.freeze({
  source: 'data_set',
  reference: 'unknown',
  tiers: [{ above: 0, rates: Object.fromEntries(BUCKETS.map((bucket) => [bucket, 0n])) as Record<Bucket, bigint> }],
  toolFees: {},
  contextWindow: null,
})

/** The price that the caller's own account pays, as far as it is known. */
export function costPrice({ provider }: Terms, deployment: Deployment, context: PriceContext): Price {
  return find(listingOf(provider, deployment), context) ?? UNKNOWN_PRICE
}

function find(listed: Listing | null, { prices, priceTerms }: PriceContext): Price | null {
  return prices.find({ listed, ...priceTerms })
}

function refuseUnpriced(model: string, why: string | null, { units = [] }: Terms): never {
  const shown = `'${model.slice(0, 200)}'`
  const message = why ?? `No price is known for model ${shown}, so it can't be metered.`
  throw new TollgateError(400, 'unknown_price', `${message} The operator can set ${settingsOf(units[0])} for it.`, {
    param: 'model',
  })
}

const UNIT_SETTINGS: Readonly<Record<Unit, string>> = {
  images: 'output_cost_per_image',
  imagesRead: 'input_cost_per_image',
  characters: 'input_cost_per_character',
  milliseconds: 'input_cost_per_second',
}

function settingsOf(unit: Unit | undefined): string {
  const tokens = 'input_cost_per_token and output_cost_per_token'
  return unit === undefined ? tokens : `${UNIT_SETTINGS[unit]}, or ${tokens}`
}

/** @throws {TollgateError} 400 where the call is billed by tokens and nothing bounds their number. */
export function refuseUnboundedOutput({ unboundedOutput, units: [unit] = [] }: Terms, { units }: Price): void {
  if (unboundedOutput === undefined || units !== undefined) return
  const instead = unit === undefined ? '' : ` The operator can set ${UNIT_SETTINGS[unit]} for it.`
  const message = `${unboundedOutput}, so it can't be metered.${instead}`
  throw new TollgateError(400, 'unbounded_output', message, { param: 'model' })
}

/** The uses to charge where the response states none. Tools whose findings become input are charged as the response states. */
export function usesOf(tools: readonly ServerTool[]): Record<string, number> {
  const uses: Record<string, number> = {}
  for (const { kind, uses: most, addsInput } of tools) if (!addsInput) uses[kind] = (uses[kind] ?? 0) + most
  return uses
}

/** A tool that is billed by use and has no fee is an unknown price. @throws {TollgateError} 400. */
export function refuseUnpricedTools(tools: readonly ServerTool[], price: Price): void {
  const unpriced = tools.find(({ kind, billedByUse }) => billedByUse && !Object.hasOwn(price.toolFees, kind))
  if (unpriced === undefined) return
  throw new TollgateError(
    400,
    'unknown_price',
    `No fee is known for the tool '${unpriced.kind}' of this model, so it can't be metered. The operator can set tollgate.tool_fees.${unpriced.kind}.`,
    { param: unpriced.kind },
  )
}

/**
 * Nano-dollars to hold for tools whose findings become input: the operator's surcharge, else the usual one, and never less than their
 * fees.
 * @throws {TollgateError} 400, naming one without a surcharge.
 */
export function surchargeOf(tools: readonly ServerTool[], price: Price, config: Config): bigint {
  let sum = 0n
  for (const { kind, uses, addsInput, usualHold } of tools) {
    if (!addsInput) continue
    const surcharge = Object.hasOwn(config.toolSurcharges, kind) ? config.toolSurcharges[kind] : usualHold
    if (surcharge === undefined) {
      throw new TollgateError(
        400,
        'unbounded_tool',
        `What the provider's tool '${kind}' reads is billed as input and can't be known before the call. The operator can set tollgate.tool_surcharges.${kind}: dollars to hold for such a call.`,
        { param: kind },
      )
    }
    const fees = BigInt(uses) * (price.toolFees[kind] ?? 0n)
    sum += surcharge > fees ? surcharge : fees
  }
  return sum
}

/** Sound costs a multiple of text: where neither the operator nor the data set prices it, the price is unknown. */
export function refuseUnpricedAudio(
  { operator: written }: Pick<PriceTerms, 'operator'>,
  { tiers }: Price,
  audio: { input: boolean; output: boolean },
): void {
  const rates = tiers[0]?.rates
  if (rates === undefined) return
  const unknownIn = audio.input && (written?.audioInput ?? null) === null && rates.audioInput === rates.input
  const unknownOut = audio.output && (written?.audioOutput ?? null) === null && rates.audioOutput === rates.output
  if ((unknownIn && rates.input > 0n) || (unknownOut && rates.output > 0n)) {
    throw new TollgateError(
      400,
      'unknown_price',
      "No price is known for this model's audio, so it can't be metered. The operator can set input_cost_per_audio_token and output_cost_per_audio_token.",
      { param: 'model' },
    )
  }
}
