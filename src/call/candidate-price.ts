/** Which price a call is offered at. What can't be priced or bounded is refused here, by name, before anything is held. */
import type { ChatProvider, Provider, ServerTool } from '../../providers/provider.ts'
import type { Config } from '../config/config.ts'
import { TollgateError } from '../http/errors.ts'
import { BUCKETS, type Bucket } from '../metering/listed-price.ts'
import { dearestPrice, type Price } from '../metering/price.ts'
import type { RoutedDeployment } from '../routing/route.ts'
import type { CandidateContext } from './candidate.ts'

type Json = Readonly<Record<string, unknown>>

/** Of the model, or the dearest of all the request allows to serve it. @throws {TollgateError} 400. */
export function candidatePrice(
  provider: ChatProvider,
  deployment: RoutedDeployment,
  json: Json,
  context: CandidateContext,
): Price {
  const named = deployment.upstreamModel
  const models = [...new Set([named, ...provider.chat.mayServe(json)])]
  const found = models.map((model) => {
    const price = findPrice(provider, deployment, model, context)
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
export function costPrice(
  provider: Provider,
  deployment: RoutedDeployment,
  model: string,
  context: CandidateContext,
): Price {
  return findPrice(provider, deployment, model, context) ?? UNKNOWN_PRICE
}

function findPrice(
  provider: Provider,
  deployment: RoutedDeployment,
  model: string,
  context: CandidateContext,
): Price | null {
  return context.prices.find({
    listed: provider.listedAs(provider.pricedAs(model, null)),
    at: context.at,
    operator: deployment.price,
    toolFees: context.config.toolFees,
  })
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

/** Uses to charge where the answer states none. One whose findings become input is charged at what the answer states. */
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
 * Nano-dollars to hold for tools whose findings become input: the operator's surcharge, and never less than their fees.
 * @throws {TollgateError} 400, naming one without a surcharge.
 */
export function surchargeOf(tools: readonly ServerTool[], price: Price, config: Config): bigint {
  let sum = 0n
  for (const { kind, uses, addsInput } of tools) {
    if (!addsInput) continue
    const surcharge = Object.hasOwn(config.toolSurcharges, kind) ? config.toolSurcharges[kind] : undefined
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

/** Cache entries are kept for five minutes where a hint says nothing else; an hour costs more. Hints may stand anywhere. */
export function asksForLongCache(json: Json): boolean {
  const open: unknown[] = [json]
  for (let value = open.pop(); value !== undefined || open.length > 0; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue
    for (const [name, member] of Object.entries(value)) {
      if (typeof member !== 'object' || member === null) continue
      if (name === 'cache_control' && 'ttl' in member && member.ttl !== '5m') return true
      open.push(member)
    }
  }
  return false
}

export function asksForAudio(json: Json): boolean {
  return Array.isArray(json.modalities) && json.modalities.includes('audio')
}

/** Sound costs a multiple of text: where neither the operator nor the data set prices it, the price is unknown. */
export function refuseUnpricedAudio(
  { price: written }: RoutedDeployment,
  { tiers }: Price,
  audio: { heard: boolean; spoken: boolean },
): void {
  const rates = tiers[0]?.rates
  if (rates === undefined) return
  const unknownIn = audio.heard && (written?.audioInput ?? null) === null && rates.audioInput === rates.input
  const unknownOut = audio.spoken && (written?.audioOutput ?? null) === null && rates.audioOutput === rates.output
  if ((unknownIn && rates.input > 0n) || (unknownOut && rates.output > 0n)) {
    throw new TollgateError(
      400,
      'unknown_price',
      "No price is known for this model's audio, so it can't be metered. The operator can set input_cost_per_audio_token and output_cost_per_audio_token.",
      { param: 'model' },
    )
  }
}
