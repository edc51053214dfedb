/**
 * What a call may cost on one deployment, before it is made: price, factors, quote, and how much output is wanted and least.
 */
import type { ChatRequest, ModelFacts, Provider, Refusal } from '../../providers/provider.ts'
import { providerOf } from '../../providers/registry.ts'
import type { Config, PowerLevel } from '../config/config.ts'
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'
import { MILLION } from '../metering/charge.ts'
import type { InputEstimate } from '../metering/estimate.ts'
import type { Price, PriceBook } from '../metering/price.ts'
import { type Quote, quote } from '../metering/quote.ts'
import type { RoutedDeployment } from '../routing/route.ts'
import { isOwn, type PayingKey } from './choose-key.ts'
import { estimateInput } from './estimate-input.ts'
import {
  asksForAudio,
  asksForLongCache,
  costPrice,
  offeredPrice,
  refuseUnpricedAudio,
  refuseUnpricedTools,
  surchargeOf,
  usesOf,
} from './offer-price.ts'
import { choicesOf, outputCapOf } from './read-request.ts'

export interface Offer {
  deployment: RoutedDeployment
  /** Whose key the provider is called with. With the caller's own the call costs nothing here: quote, markup and charge are 0. */
  key: PayingKey
  provider: Provider
  price: Price
  markup: bigint
  powerLevel: PowerLevel
  /** Millionths. */
  level: bigint
  estimate: InputEstimate
  quote: Quote
  /** Fees that are known before the call, by kind: charged where the answer states no count of its own. */
  toolUses: Record<string, number>
  /** Members of the request the provider can't honour, which the operator lets us leave out. */
  drop: readonly string[]
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
  /** Costs what its stream does not show (hidden reasoning, sound, what a tool reads): only its usage tells. */
  unseen: boolean
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

/** @throws {TollgateError} 400 unknown price or unbounded input. */
export function makeOffer(deployment: RoutedDeployment, key: PayingKey, context: OfferContext): Offer {
  const { config, request, powerLevel } = context
  const provider = providerOf(deployment.provider)
  const model = deployment.upstreamModel
  const asked = { ...deployment.defaults, ...request.json }
  const drop = droppedMembers(provider.refuses(asked, model), deployment)
  const effective = drop.length === 0 ? asked : without(asked, drop)
  const tools = provider.serverTools(effective, model)
  const facts = provider.model(model, effective)
  const spoken = asksForAudio(effective)
  const known = {
    deployment,
    key,
    provider,
    powerLevel,
    estimate: estimateInput(effective, facts, provider.mediaTokens(model), provider.unpackId),
    toolUses: usesOf(tools),
    drop,
    choices: choicesOf(effective),
    toolFees: config.toolFees,
    tier: provider.tierMultiplier(askedTier(effective), model),
    allowBelowCost: config.allowBelowCost,
    at: context.at,
    unseen: facts.hiddenReasoning || spoken || tools.some(({ addsInput }) => addsInput),
  }
  if (isOwn(key)) return { ...known, ...UNCHARGED, price: costPrice(provider, deployment, model, context) }
  const price = offeredPrice(provider, deployment, effective, context)
  known.estimate = withinWindow(known.estimate, price)
  refuseUnpricedTools(tools, price)
  return {
    ...known,
    price,
    ...chargedAt(
      price,
      { ...known, longCacheWrites: asksForLongCache(effective) },
      spoken,
      context,
      surchargeOf(tools, price, config),
    ),
    ...outputOf(effective, deployment, facts, request.stream, config),
  }
}

/** What a call by the caller's own key is held and charged at. Nothing is at stake here, so nothing bounds its output either. */
const UNCHARGED: Pick<Offer, 'markup' | 'level' | 'quote' | 'wanted' | 'least' | 'cap' | 'extendable'> = {
  markup: 0n,
  level: MILLION,
  quote: { input: 0n, inputBytes: 0n, outputFor: () => 0n, outputTokensIn: () => Number.MAX_SAFE_INTEGER },
  wanted: 1,
  least: 1,
  cap: null,
  extendable: false,
}

/** @throws {TollgateError} 400 for sound without a price, and for what nothing bounds. */
function chargedAt(
  price: Price,
  {
    deployment,
    estimate,
    toolUses,
    choices,
    tier,
    longCacheWrites,
  }: Pick<Offer, 'deployment' | 'estimate' | 'toolUses' | 'choices' | 'tier'> & { longCacheWrites: boolean },
  spoken: boolean,
  { config, caller, powerLevel }: OfferContext,
  surcharge: bigint,
): Pick<Offer, 'markup' | 'level' | 'quote'> {
  refuseUnpricedAudio(deployment, price, { heard: estimate.audioInput > 0, spoken })
  const markup = caller.isDefaultOrganization ? 0n : config.plans[caller.plan ?? 'platform'].markup
  const level = config.powerLevels[powerLevel]
  const bound = quote({
    estimate: { ...estimate, toolFees: toolUses, contextBound: boundByContext(estimate, price) },
    surcharge,
    choices,
    price,
    markup,
    level,
    // A cheaper tier that is asked for may not be the one that serves.
    tier: tier > MILLION ? tier : MILLION,
    longCacheWrites,
    allowBelowCost: config.allowBelowCost,
    audioOutput: spoken,
  })
  return { markup, level, quote: bound }
}

/** A model reads no more than its context window, whatever its media could be. */
function withinWindow(estimate: InputEstimate, { contextWindow }: Price): InputEstimate {
  const most = contextWindow ?? Number.MAX_SAFE_INTEGER
  const media = Math.min(estimate.media, most)
  const audioInput = Math.min(estimate.audioInput, most)
  const expected = {
    media: Math.min(estimate.expected.media, most),
    audioInput: Math.min(estimate.expected.audioInput, most),
  }
  return { ...estimate, media, audioInput, expected }
}

/** @throws {TollgateError} 400, naming what the provider can't honour and the operator does not let us leave out. */
function droppedMembers(refused: readonly Refusal[], deployment: RoutedDeployment): string[] {
  for (const { param, message, droppable } of refused) {
    if (droppable && deployment.dropParams) continue
    throw new TollgateError(400, 'unsupported_parameter', message, { param })
  }
  return refused.map(({ param }) => param)
}

function without(json: Readonly<Record<string, unknown>>, members: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(json).filter(([key]) => !members.includes(key)))
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
  deployment: RoutedDeployment,
  facts: ModelFacts,
  stream: boolean,
  config: Config,
): Pick<Offer, 'wanted' | 'least' | 'cap' | 'extendable'> {
  const { caps } = config
  const most = deployment.maxOutputTokens ?? facts.maxOutputTokens
  const asked = outputCapOf(effective)
  if (asked !== null)
    return { wanted: asked, least: Math.min(caps.leastOutputTokens, asked), cap: null, extendable: false }
  const extendable = stream && !facts.hiddenReasoning
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
