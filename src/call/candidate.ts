/**
 * What a call may cost on one deployment with one key, before it is made: price, factors, quote, and how much output is wanted and
 * least. What can't be priced or bounded is refused here, by name, before anything is held.
 */
import { TOP_SPEED } from '../../providers/provider.ts'
import type { Config, PowerLevel } from '../config/config.ts'
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'
import { MILLION } from '../metering/charge.ts'
import type { InputEstimate } from '../metering/estimate.ts'
import { type Possible, possibleInput, possibleOutput } from '../metering/plausible.ts'
import type { Price, PriceBook } from '../metering/price.ts'
import { type Quote, quote } from '../metering/quote.ts'
import type { RoutedCandidate } from '../routing/route.ts'
import {
  candidatePrice,
  costPrice,
  refuseUnpricedAudio,
  refuseUnpricedTools,
  surchargeOf,
  usesOf,
} from './candidate-price.ts'
import type { PayingKey } from './choose-keys.ts'
import type { EndpointRequest, Terms } from './endpoint.ts'
import { type Output, outputOf } from './output-caps.ts'
import type { UsualTiers } from './usual-tiers.ts'

export interface Candidate extends Output, RoutedCandidate, PayingKey {
  terms: Terms
  price: Price
  /** Millionths, as `level` and `tier`. */
  markup: bigint
  powerLevel: PowerLevel
  level: bigint
  /** The provider's multiplier for the service tier that was asked for. */
  tier: bigint
  estimate: InputEstimate
  quote: Quote
  /** Fees that are known before the call, by kind: charged where the response states no count of its own. */
  toolUses: Record<string, number>
  /** The operator's fees, by which a served model's price is found too. */
  toolFees: Record<string, bigint>
  allowBelowCost: boolean
  /** When the call was admitted: prices of that moment hold for the whole call. */
  at: Date
  /** What a statement of the provider's can be, given the cap on output that was put in besides the caller's own. */
  possible(appliedCap: number | null): Possible
  /** Costs what its stream does not show (hidden reasoning, sound, what a tool reads): only its usage tells. */
  hidesUsage: boolean
}

export interface CandidateContext {
  config: Config
  prices: PriceBook
  caller: Caller
  request: EndpointRequest
  powerLevel: PowerLevel
  /** When the call was admitted; prices may change on a date. */
  at: Date
  usualTiers: UsualTiers
}

/** @throws {TollgateError} 400 unknown price or unbounded input. */
export function makeCandidate(routed: RoutedCandidate, key: PayingKey, context: CandidateContext): Candidate {
  const { config, request, powerLevel, at } = context
  const terms = request.termsOn(routed.deployment)
  const { provider, facts, tools } = terms
  const known = {
    ...routed,
    ...key,
    terms,
    powerLevel,
    estimate: terms.estimate,
    toolUses: usesOf(tools),
    toolFees: config.toolFees,
    tier: atLeastList(provider.tierMultiplier(terms.serviceTier, routed.deployment.upstreamModel)),
    allowBelowCost: config.allowBelowCost,
    at,
    hidesUsage: facts.hiddenReasoning || terms.asksForAudio || tools.some(({ addsInput }) => addsInput),
  }
  if (!key.payer.isCharged) return { ...known, ...UNCHARGED, price: costPrice(terms, routed.deployment, context) }
  const price = candidatePrice(terms, routed.deployment, context)
  const priced = { ...known, price, estimate: withinWindow(known.estimate, price) }
  refuseUnpricedTools(tools, price)
  const surcharge = surchargeOf(tools, price, config)
  return {
    ...priced,
    possible: possibleFor(priced, surcharge),
    ...chargedAt({ ...priced, tier: dearestTier(known, context) }, context, surcharge),
    ...outputFor(priced, request.stream, config),
  }
}

/** What is held and charged where the caller's own account pays. Nothing is at stake here, so nothing bounds its output either. */
const UNCHARGED: Pick<Candidate, 'markup' | 'level' | 'quote' | 'possible' | keyof Output> = {
  markup: 0n,
  level: MILLION,
  quote: {
    input: 0n,
    inputBytes: 0n,
    uncertain: 0n,
    outputFor: () => 0n,
    outputTokensIn: () => Number.MAX_SAFE_INTEGER,
    maxPrice: { input: 0n, output: 0n },
  },
  wanted: 1,
  least: 1,
  cap: null,
  extendable: false,
  step: 1,
  most: null,
  topSpeed: null,
  possible: () => ({ input: Number.MAX_SAFE_INTEGER, output: Number.MAX_SAFE_INTEGER, toolUses: {}, surcharge: 0n }),
}

type Priced = Pick<Candidate, 'deployment' | 'terms' | 'estimate' | 'price' | 'tier' | 'toolUses'>

/** @throws {TollgateError} 400 for sound without a price, and for what nothing bounds. */
function chargedAt(
  { deployment, terms, estimate, price, tier, toolUses }: Priced,
  { config, caller, powerLevel }: CandidateContext,
  surcharge: bigint,
): Pick<Candidate, 'markup' | 'level' | 'quote'> {
  const { choices, asksForAudio, asksForLongCache } = terms
  refuseUnpricedAudio(deployment, price, { input: estimate.audioInput > 0, output: asksForAudio })
  const markup = caller.isDefaultOrganization ? 0n : config.plans[caller.plan ?? 'platform'].markup
  const level = config.powerLevels[powerLevel]
  const bound = quote({
    estimate: { ...estimate, toolFees: toolUses, contextBound: boundByContext(estimate, price) },
    surcharge,
    choices,
    price,
    markup,
    level,
    tier,
    longCacheWrites: asksForLongCache,
    allowBelowCost: config.allowBelowCost,
    audioOutput: asksForAudio,
  })
  return { markup, level, quote: bound }
}

function outputFor({ deployment, terms }: Priced, isStream: boolean, config: Config): Output {
  const { facts, provider } = terms
  const isHidden = facts.hiddenReasoning || terms.asksForAudio
  return outputOf(
    {
      asked: terms.outputCap,
      most: deployment.maxOutputTokens ?? facts.maxOutputTokens,
      possible: terms.leastOutput,
      stoppable: isStream && !provider.billsAbandoned,
      topSpeed: isHidden ? (facts.topSpeed ?? TOP_SPEED) : null,
    },
    config,
    terms.isCapBelieved,
  )
}

/** Every byte of the request may be input to some server, whatever we know of its members. */
function possibleFor({ deployment, terms, estimate, price }: Priced, surcharge: bigint): Candidate['possible'] {
  const { facts, tools, choices, outputCap, isCapBelieved } = terms
  const windows = [price.contextWindow, deployment.maxInputTokens].filter((window) => window !== null)
  const input = possibleInput({
    estimate: { ...estimate, bytes: Math.max(estimate.bytes, terms.requestBytes) },
    contextWindow: windows.length === 0 ? null : Math.max(...windows),
    toolRounds: tools.reduce((sum, { addsInput, uses }) => sum + (addsInput ? uses : 0), 0),
  })
  const toolUses: Record<string, number> = {}
  for (const { kind, uses } of tools) toolUses[kind] = (toolUses[kind] ?? 0) + uses
  // The larger: an operator who names less than the model can write sends no cap by that.
  const limits = [deployment.maxOutputTokens, facts.maxOutputTokens].filter((limit) => limit !== null)
  const limit = limits.length === 0 ? null : Math.max(...limits)
  // What is predicted wrong is billed as output beyond any cap.
  const overrun = (facts.capOverrun ?? 0) + estimate.predicted.bytes
  return (appliedCap) => {
    const cap = isCapBelieved || limit === null ? (appliedCap ?? outputCap) : null
    return { input, output: possibleOutput(cap, limit, choices, overrun), toolUses, surcharge }
  }
}

/** A model reads no more than its context window, whatever its media could be. */
function withinWindow(estimate: InputEstimate, { contextWindow }: Price): InputEstimate {
  const most = contextWindow ?? Number.MAX_SAFE_INTEGER
  const within = ({ media, audioInput }: InputEstimate['expected']) => ({
    media: Math.min(media, most),
    audioInput: Math.min(audioInput, most),
  })
  const least = { ...estimate.least, ...within(estimate.least) }
  return { ...estimate, ...within(estimate), expected: within(estimate.expected), least }
}

/** A part nothing else bounds can't be larger than the model's context window. @throws {TollgateError} 400 where that is unknown. */
function boundByContext(estimate: InputEstimate, price: Price): boolean {
  const part = estimate.unbounded[0]
  if (part !== undefined && price.contextWindow === null) {
    throw new TollgateError(
      400,
      'unbounded_input',
      `The size of ${part} can't be known before the call, nor how much this model reads. Send the content inline instead, or ask the operator to set max_input_tokens for the model.`,
      { param: part },
    )
  }
  return part !== undefined
}

/** What a cheaper tier saves is believed of the response that states it: a server that knows no tiers takes the word and bills the list price. */
function atLeastList(asked: bigint): bigint {
  return asked > MILLION ? asked : MILLION
}

/** The tier that is held for: where none is asked for, the provider's own setting decides. */
function dearestTier(
  { tier, deployment, terms }: Pick<Candidate, 'tier' | 'deployment' | 'terms'>,
  context: CandidateContext,
): bigint {
  const usual = leavesTier(terms) ? context.usualTiers.of(deployment.id) : tier
  return usual > tier ? usual : tier
}

/** It asks for no tier of its own. */
export function leavesTier({ serviceTier }: Pick<Terms, 'serviceTier'>): boolean {
  return serviceTier === null || serviceTier === 'auto'
}

/** `X-Power-Level` wins over the body; a level we don't know counts as balanced. */
export function powerLevelOf(header: string | string[] | undefined, body: unknown): PowerLevel {
  const named = typeof header === 'string' ? header.trim().toLowerCase() : body
  return named === 'eco' || named === 'precision' ? named : 'balanced'
}
