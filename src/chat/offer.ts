/**
 * What a call may cost on one deployment, before it is made: price, factors, quote, and how much output is wanted and least.
 */
import type { ChatRequest, Provider } from '../../providers/provider.ts'
import { findProvider } from '../../providers/registry.ts'
import type { Config, PowerLevel } from '../config/config.ts'
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'
import { estimateChatInput, type InputEstimate } from '../metering/estimate.ts'
import type { Price, PriceBook } from '../metering/price.ts'
import { type Quote, quote } from '../metering/quote.ts'
import type { RoutedDeployment } from '../routing/route.ts'
import { choicesOf, outputCapOf } from './read-request.ts'

export interface Offer {
  deployment: RoutedDeployment
  provider: Provider
  price: Price
  markup: bigint
  powerLevel: PowerLevel
  /** Millionths. */
  level: bigint
  estimate: InputEstimate
  quote: Quote
  toolUses: Record<string, number>
  /** The operator's fees, by which a served model's price is found too. */
  toolFees: Record<string, bigint>
  /** Millionths: the provider's multiplier for the service tier that was asked for. */
  tier: bigint
  allowBelowCost: boolean
  /** When the call was admitted: prices of that moment hold for the whole call. */
  at: Date
  /** `n`, the operator's default included. */
  choices: number
  /** Output tokens for each choice. */
  wanted: number
  least: number
  /** The cap to send although the caller set none; null where what runs up can be seen and the hold is extended instead. */
  cap: number | null
  /** May run beyond `wanted`: the hold grows with the stream. */
  extendable: boolean
}

export interface OfferContext {
  config: Config
  prices: PriceBook
  caller: Caller
  request: ChatRequest
  powerLevel: PowerLevel
  /** When the call was admitted; prices may change on a date. */
  at: Date
}

/** @throws {TollgateError} 400 unknown price or unbounded input, 503 where the operator has no key. */
export function makeOffer(deployment: RoutedDeployment, context: OfferContext): Offer {
  const { config, request, caller, powerLevel } = context
  const provider = usable(deployment)
  const model = deployment.upstreamModel
  const price = context.prices.find({
    provider: deployment.provider,
    model,
    at: context.at,
    operator: deployment.price,
    toolFees: config.toolFees,
  })
  if (price === null) {
    throw new TollgateError(
      400,
      'unknown_price',
      `No price is known for model '${request.model}', so it can't be metered. The operator can set input_cost_per_token and output_cost_per_token for it.`,
      { param: 'model' },
    )
  }
  const effective = { ...deployment.defaults, ...request.json }
  const choices = choicesOf(effective)
  const toolUses = pricedTools(provider.toolUses(effective, model), price)
  const estimate = estimateChatInput(effective, provider.mediaTokens(model))
  const spoken = asksForAudio(effective)
  refuseUnpricedAudio(deployment, price, { heard: estimate.audioInput > 0, spoken })
  const markup = caller.isDefaultOrganization ? 0n : config.plans[caller.plan ?? 'platform'].markup
  const level = config.powerLevels[powerLevel]
  const tier = provider.tierMultiplier(askedTier(effective))
  const bound = quote({
    estimate: { ...estimate, toolFees: toolUses, contextBound: boundByContext(estimate, price) },
    choices,
    price,
    markup,
    level,
    tier,
    allowBelowCost: config.allowBelowCost,
    audioOutput: spoken,
  })
  return {
    deployment,
    provider,
    price,
    markup,
    powerLevel,
    level,
    estimate,
    quote: bound,
    toolUses,
    choices,
    toolFees: config.toolFees,
    tier,
    allowBelowCost: config.allowBelowCost,
    at: context.at,
    ...outputOf(effective, request, deployment, provider, config),
  }
}

function usable(deployment: RoutedDeployment): Provider {
  const provider = findProvider(deployment.provider)
  if (provider === null) {
    throw new TollgateError(
      400,
      'provider_not_supported',
      `This version of Tollgate can't call the provider '${deployment.provider}'. Choose another model; GET /v1/models lists them.`,
      { param: 'model' },
    )
  }
  if (deployment.apiKey === null && deployment.apiBase === null && deployment.mockResponse === null) {
    throw new TollgateError(
      503,
      'provider_key_missing',
      `No API key for ${provider.label} is configured. The operator can set one and restart.`,
      { headers: { 'Retry-After': '60' } },
    )
  }
  return provider
}

/** A tool that is billed by use and has no price is an unknown price. */
function pricedTools(uses: Record<string, number>, price: Price): Record<string, number> {
  for (const kind of Object.keys(uses)) {
    if (price.toolFees[kind] === undefined) {
      throw new TollgateError(
        400,
        'unknown_price',
        `No fee is known for the tool '${kind}' of this model, so it can't be metered. The operator can set tollgate.tool_fees.${kind}.`,
        { param: kind },
      )
    }
  }
  return uses
}

function asksForAudio(json: Readonly<Record<string, unknown>>): boolean {
  return Array.isArray(json.modalities) && json.modalities.includes('audio')
}

/** Sound costs a multiple of text: where neither the operator nor the data set prices it, the price is unknown. */
function refuseUnpricedAudio(
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

/** A part nothing else bounds can't be larger than the model's context window. */
function boundByContext(estimate: InputEstimate, price: Price): boolean {
  const part = estimate.unbounded[0]
  if (part !== undefined && price.contextWindow === null) {
    throw new TollgateError(
      400,
      'unbounded_input',
      `The size of ${part} can't be known before the call. Send the content inline instead.`,
      { param: part },
    )
  }
  return part !== undefined
}

function askedTier(json: Readonly<Record<string, unknown>>): string | null {
  return typeof json.service_tier === 'string' ? json.service_tier : null
}

function outputOf(
  effective: Readonly<Record<string, unknown>>,
  request: ChatRequest,
  deployment: RoutedDeployment,
  provider: Provider,
  config: Config,
): Pick<Offer, 'wanted' | 'least' | 'cap' | 'extendable'> {
  const { caps } = config
  const facts = provider.model(deployment.upstreamModel)
  const most = deployment.maxOutputTokens ?? facts.maxOutputTokens
  const asked = request.outputCap ?? outputCapOf(effective)
  if (asked !== null)
    return { wanted: asked, least: Math.min(caps.leastOutputTokens, asked), cap: null, extendable: false }
  const extendable = request.stream && !facts.hiddenReasoning
  const start = extendable ? caps.streamOutputTokens : caps.outputTokens
  const wanted = most === null ? start : Math.min(most, start)
  const capped = !extendable && (most === null || most > wanted)
  return {
    wanted,
    least: Math.min(caps.leastOutputTokens, wanted),
    cap: capped ? wanted : null,
    extendable: extendable && (most === null || most > wanted),
  }
}

/** `X-Power-Level` wins over the body; a level we don't know counts as balanced. */
export function powerLevelOf(header: string | string[] | undefined, body: unknown): PowerLevel {
  const named = typeof header === 'string' ? header.trim().toLowerCase() : body
  return named === 'eco' || named === 'precision' ? named : 'balanced'
}
