/**
 * What a call may cost on one deployment with one key, before it is made: price, factors, quote, and the output that is wanted and the
 * least. A call that can't be priced or bounded is refused here, by name, before anything is held.
 */
import { TOP_SPEED } from '../../providers/provider.ts'
import type { Config, PowerLevel } from '../config/config.ts'
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'
import { MILLION } from '../metering/charge.ts'
import type { InputEstimate } from '../metering/estimate.ts'
import { type Possible, possibleInput, possibleOutput } from '../metering/plausible.ts'
import type { Price, PriceBook } from '../metering/price.ts'
import { larger, type Quote, quote } from '../metering/quote.ts'
import type { RoutedCandidate } from '../routing/route.ts'
import type { Agreed, Factors, Floor } from './agreed.ts'
import {
  candidatePrice,
  costPrice,
  type PriceTerms,
  refuseUnboundedOutput,
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
  /** How `price` was looked up, and how the price of another served model is. */
  priceTerms: PriceTerms
  /** The least charge where a quote fixed the price; null without a quote. */
  floor: Floor | null
  /** Millionths, as `level` and `tier`. */
  markup: bigint
  powerLevel: PowerLevel
  level: bigint
  /** The provider's multiplier for the service tier that was asked for. */
  tier: bigint
  /** The multiplier that the hold uses: the usual tier's, where that is dearer and the call asked for none. */
  heldTier: bigint
  estimate: InputEstimate
  quote: Quote
  /** Fees that are known before the call, by kind: charged where the response states no count of its own. */
  toolUses: Record<string, number>
  allowBelowCost: boolean
  /** When the call was admitted. */
  at: Date
  /** The largest usage that the provider can state. @param appliedCap the cap that was sent besides the caller's own. */
  possible(appliedCap: number | null): Possible
  /** The stream does not show everything that is billed (hidden reasoning, sound, tools' findings, rejected predictions): only its usage does. */
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
  /** What a quote fixed; null for a call without one. */
  agreed: Agreed | null
}

/** @throws {TollgateError} 400 unknown price or unbounded input, or a quote that is not for this deployment. */
export function makeCandidate(routed: RoutedCandidate, key: PayingKey, context: CandidateContext): Candidate {
  const { config, request, powerLevel, at, prices, agreed } = context
  const { deployment } = routed
  const terms = request.termsOn(deployment)
  const { provider, facts, tools } = terms
  const needs = { inputOnly: terms.isInputOnly ?? false, units: terms.units ?? [] }
  const now: PriceTerms = { at, operator: deployment.price, toolFees: config.toolFees, ...needs }
  const tier = atLeastList(provider.tierMultiplier(terms.serviceTier, deployment.upstreamModel))
  const known = {
    ...routed,
    ...key,
    terms,
    priceTerms: now,
    floor: null,
    powerLevel,
    estimate: terms.estimate,
    toolUses: usesOf(tools),
    tier,
    heldTier: dearestTier({ tier, deployment, terms }, context),
    allowBelowCost: config.allowBelowCost,
    at,
    hidesUsage:
      facts.hiddenReasoning ||
      terms.asksForAudio ||
      terms.estimate.predicted.tokens > 0 ||
      tools.some(({ addsInput }) => addsInput),
  }
  if (!key.payer.isCharged) {
    return { ...known, ...UNCHARGED, price: costPrice(terms, deployment, { prices, request, priceTerms: now }) }
  }
  const priceBy = (by: PriceTerms) => candidatePrice(terms, deployment, { prices, request, priceTerms: by })
  const priceTerms = agreed === null ? now : { ...agreed.priceTermsOf(deployment), ...needs }
  const price = priceBy(priceTerms)
  const current = factorsOf(context)
  const { markup, level } = agreed ?? current
  const floor =
    agreed === null ? null : floorOf({ price: priceBy(now), priceTerms: now, version: agreed.version }, current, config)
  const estimate = withinWindow(known.estimate, price)
  const priced = { ...known, price, priceTerms, floor, markup, level, estimate }
  const surcharge = surchargeFor(priced, config)
  return {
    ...priced,
    possible: possibleFor(priced, surcharge, config),
    quote: boundOf(priced, config, surcharge),
    ...outputFor(priced, request.stream, config),
  }
}

/** The markup and the level at this moment. */
function factorsOf({ config, caller, powerLevel }: CandidateContext): Factors {
  const markup = caller.isDefaultOrganization ? 0n : config.plans[caller.plan ?? 'platform'].markup
  return { markup, level: config.powerLevels[powerLevel] }
}

/** The provider's cost. Where the operator allows charges below cost, the charge without a quote, if that is less. */
function floorOf(
  now: Omit<Floor, keyof Factors>,
  { markup, level }: Factors,
  { allowBelowCost }: Pick<Config, 'allowBelowCost'>,
): Floor {
  const isBelowCost = allowBelowCost && (MILLION + markup) * level < MILLION * MILLION
  return isBelowCost ? { ...now, markup, level } : { ...now, markup: 0n, level: MILLION }
}

/** @throws {TollgateError} 400, naming a tool without a price or a surcharge. */
function surchargeFor({ terms: { tools }, price, floor }: Priced, config: Config): bigint {
  const each = [price, ...(floor === null ? [] : [floor.price])].map((one) => {
    refuseUnpricedTools(tools, one)
    return surchargeOf(tools, one, config)
  })
  return each.reduce((a, b) => (b > a ? b : a))
}

/** Where the caller's own account pays, nothing is held or charged, so nothing bounds the output either. */
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
  possible: () => ({
    input: Number.MAX_SAFE_INTEGER,
    output: Number.MAX_SAFE_INTEGER,
    hears: true,
    speaks: true,
    toolUses: {},
    surcharge: 0n,
  }),
}

type Priced = Pick<
  Candidate,
  | 'deployment'
  | 'terms'
  | 'estimate'
  | 'price'
  | 'priceTerms'
  | 'floor'
  | 'markup'
  | 'level'
  | 'heldTier'
  | 'toolUses'
  | 'allowBelowCost'
>

/** @throws {TollgateError} 400 for sound without a price, and for output without a bound. */
function boundOf({ terms, estimate, heldTier, toolUses, ...priced }: Priced, config: Config, surcharge: bigint): Quote {
  const { choices, asksForAudio, asksForLongCache } = terms
  refuseUnboundedOutput(terms, priced.price)
  const boundAt = ({ price, priceTerms, markup, level }: Omit<Floor, 'version'>, allowBelowCost: boolean) => {
    refuseUnpricedAudio(priceTerms, price, { input: estimate.audioInput > 0, output: asksForAudio })
    return quote({
      estimate: { ...estimate, toolFees: toolUses, contextBound: boundByContext(estimate, price) },
      surcharge,
      choices,
      price,
      markup,
      level,
      tier: heldTier,
      longCacheWrites: asksForLongCache,
      allowBelowCost,
      audioOutput: asksForAudio,
    })
  }
  const bound = boundAt(priced, config.allowBelowCost)
  // The larger of the two is charged, so the larger one is held.
  return priced.floor === null ? bound : larger(bound, boundAt(priced.floor, true))
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
function possibleFor(
  { deployment, terms, estimate, price }: Priced,
  surcharge: bigint,
  { caps }: Config,
): Candidate['possible'] {
  const { facts, tools, choices, outputCap, isCapBelieved, inputs = 1 } = terms
  const windows = [price.contextWindow, deployment.maxInputTokens].filter((window) => window !== null)
  const input = possibleInput({
    estimate: { ...estimate, bytes: Math.max(estimate.bytes, terms.requestBytes) },
    contextWindow: windows.length === 0 ? null : Math.max(...windows) * inputs,
    toolRounds: tools.reduce((sum, { addsInput, uses }) => sum + (addsInput ? uses : 0), 0),
  })
  const toolUses: Record<string, number> = {}
  for (const { kind, uses } of tools) toolUses[kind] = (toolUses[kind] ?? 0) + uses
  // Take the larger limit: an operator's smaller limit is not sent to the server as a cap.
  const limits = [deployment.maxOutputTokens, facts.maxOutputTokens].filter((limit) => limit !== null)
  // Where neither a limit nor a cap bounds the output, what is held for it does.
  if (limits.length === 0 && !isCapBelieved) limits.push(Math.max(outputCap ?? 0, caps.outputTokens))
  const limit = limits.length === 0 ? null : Math.max(...limits)
  // Members that nobody knows may bring sound in and ask for it.
  const isOpen = !isCapBelieved || tools.some(({ addsInput }) => addsInput)
  const hears = isOpen || estimate.media + estimate.audioInput > 0 || estimate.unbounded.length > 0
  const speaks = isOpen || terms.asksForAudio
  // Predicted text that the model does not use is billed as output, beyond any cap.
  const overrun = (facts.capOverrun ?? 0) + estimate.predicted.bytes
  return (appliedCap) => {
    const cap = isCapBelieved || limit === null ? (appliedCap ?? outputCap) : null
    return {
      ...{ input, output: possibleOutput(cap, limit, choices, overrun), hears, speaks, toolUses, surcharge },
      ...(estimate.units === undefined ? {} : { units: estimate.units.most }),
    }
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

/** Only the context window bounds a part of unknown size. @throws {TollgateError} 400 where the window is unknown. */
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

/** A cheaper tier counts only once the response states it: a server without tiers accepts the word and bills the list price. */
function atLeastList(asked: bigint): bigint {
  return asked > MILLION ? asked : MILLION
}

/** The tier that the hold assumes: where the call asks for none, the project's setting at the provider decides. */
function dearestTier(
  { tier, deployment, terms }: Pick<Candidate, 'tier' | 'deployment' | 'terms'>,
  context: CandidateContext,
): bigint {
  const usual = leavesTier(terms) ? context.usualTiers.of(deployment.id) : tier
  return usual > tier ? usual : tier
}

/** True if the call asks for no tier. */
export function leavesTier({ serviceTier }: Pick<Terms, 'serviceTier'>): boolean {
  return serviceTier === null || serviceTier === 'auto'
}
