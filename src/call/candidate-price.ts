/** Which price a call is offered at. What can't be priced or bounded is refused here, by name, before anything is held. */
import type { Provider, ServerTool } from '../../providers/provider.ts'
import type { Config, Deployment, OperatorPrice } from '../config/config.ts'
import { TollgateError } from '../http/errors.ts'
import { BUCKETS, type Bucket } from '../metering/listed-price.ts'
import { dearestPrice, type Price, type PriceBook } from '../metering/price.ts'
import type { EndpointRequest, Terms } from './endpoint.ts'

/** Where prices are looked up: of now, or of when a quote was made. */
export interface PriceTerms {
  /** Some prices of the data set change on a date. */
  at: Date
  /** Of the deployment. */
  operator: OperatorPrice | null
  /** The operator's, by the kind of tool. */
  toolFees: Readonly<Record<string, bigint>>
  /** Nothing is written, so a price for input is enough. */
  inputOnly?: boolean
}

export interface PriceContext {
  prices: PriceBook
  request: Pick<EndpointRequest, 'model'>
  priceTerms: PriceTerms
}

/** Of the model, or the dearest of all the request allows to serve it. @throws {TollgateError} 400. */
export function candidatePrice(terms: Terms, deployment: Deployment, context: PriceContext): Price {
  const { provider, mayServe } = terms
  const named = deployment.upstreamModel
  const models = [...new Set([named, ...mayServe])]
  const found = models.map((model) => {
    const price = findPrice(provider, model, context)
    return price ?? refuseUnpriced(model === named ? context.request.model : model, provider.unpriced(model))
  })
  const price = dearestPrice(found)
  // Where the data set does not know the window, the operator may.
  return price.contextWindow === null && deployment.maxInputTokens !== null
    ? { ...price, contextWindow: deployment.maxInputTokens }
    : price
}

/** Where nobody knows what a model costs: enough for a call that is not charged here. */
export const UNKNOWN_PRICE: Price = Object.freeze({
  source: 'data_set',
  reference: 'unknown',
  tiers: [{ above: 0, rates: Object.fromEntries(BUCKETS.map((bucket) => [bucket, 0n])) as Record<Bucket, bigint> }],
  toolFees: {},
  contextWindow: null,
})

/** What the caller's own account is billed at, as far as it is known. */
export function costPrice({ provider }: Terms, deployment: Deployment, context: PriceContext): Price {
  return findPrice(provider, deployment.upstreamModel, context) ?? UNKNOWN_PRICE
}

function findPrice(provider: Provider, model: string, { prices, priceTerms }: PriceContext): Price | null {
  return prices.find({ listed: provider.listedAs(provider.pricedAs(model, null)), ...priceTerms })
}

function refuseUnpriced(model: string, why: string | null): never {
  const shown = `'${model.slice(0, 200)}'`
  const message = why ?? `No price is known for model ${shown}, so it can't be metered.`
  throw new TollgateError(
    400,
    'unknown_price',
    `${message} The operator can set input_cost_per_token and output_cost_per_token for it.`,
    { param: 'model' },
  )
}

/** Uses to charge where the response states none. One whose findings become input is charged at what the response states. */
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
