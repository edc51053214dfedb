/**
 * What a call may cost on one deployment, before it is made: price, factors, quote, and how much output is wanted and least.
 */
import type { Path } from '../../providers/known-members/shape.ts'
import {
  type ChatProvider,
  type ChatRequest,
  type ModelFacts,
  type Refusal,
  type ServerTool,
  TOP_SPEED,
} from '../../providers/provider.ts'
import { chatProviderOf } from '../../providers/registry.ts'
import type { Config, PowerLevel } from '../config/config.ts'
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'
import { MILLION } from '../metering/charge.ts'
import type { InputEstimate } from '../metering/estimate.ts'
import { type Possible, possibleInput, possibleOutput } from '../metering/plausible.ts'
import type { Price, PriceBook } from '../metering/price.ts'
import { type Quote, quote } from '../metering/quote.ts'
import type { RoutedDeployment } from '../routing/route.ts'
import {
  asksForAudio,
  asksForLongCache,
  candidatePrice,
  costPrice,
  refuseUnpricedAudio,
  refuseUnpricedTools,
  surchargeOf,
  usesOf,
} from './candidate-price.ts'
import { isOwn, type PayingKey } from './choose-key.ts'
import { estimateInput, withTexts } from './estimate-input.ts'
import { type Output, outputOf } from './output-caps.ts'
import { choicesOf, outputCapOf } from './read-request.ts'
import { judgeStrangers } from './strange-members.ts'
import type { UsualTiers } from './usual-tiers.ts'

export interface Candidate extends Output {
  deployment: RoutedDeployment
  /** Whose key the provider is called with. With the caller's own the call costs nothing here: quote, markup and charge are 0. */
  key: PayingKey
  provider: ChatProvider
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
  /** The same of members below its members. */
  dropAt: readonly Path[]
  /** Members nobody knows go along by the operator's word, as JSON text: they count as input, and no cap is believed. */
  letThrough: readonly string[]
  /** The operator's fees, by which a served model's price is found too. */
  toolFees: Record<string, bigint>
  /** Millionths: the provider's multiplier for the service tier that was asked for. */
  tier: bigint
  allowBelowCost: boolean
  /** When the call was admitted: prices of that moment hold for the whole call. */
  at: Date
  /** `n`, the operator's default included. */
  choices: number
  /** What a statement of the provider's can be, given the cap on output that was put in besides the caller's own. */
  possible(appliedCap: number | null): Possible
  /** Costs what its stream does not show (hidden reasoning, sound, what a tool reads): only its usage tells. */
  unseen: boolean
}

export interface CandidateContext {
  config: Config
  prices: PriceBook
  caller: Caller
  request: ChatRequest
  powerLevel: PowerLevel
  /** When the call was admitted; prices may change on a date. */
  at: Date
  usualTiers: UsualTiers
}

/** @throws {TollgateError} 400 unknown price or unbounded input. */
export function makeCandidate(deployment: RoutedDeployment, key: PayingKey, context: CandidateContext): Candidate {
  const { config, request, powerLevel } = context
  const provider = chatProviderOf(deployment.provider)
  const { chat } = provider
  const model = deployment.upstreamModel
  const asked = { ...deployment.defaults, ...request.json }
  const { drop: strange, ...strangers } = judgeStrangers(request, provider, deployment)
  const drop = [...strange, ...droppedMembers(provider, deployment, chat.refuses(asked, model))]
  const effective = drop.length === 0 ? asked : without(asked, drop)
  const tools = chat.serverTools(effective, model)
  const facts = provider.model(model, effective)
  const spoken = asksForAudio(effective)
  const known = {
    deployment,
    key,
    provider,
    powerLevel,
    estimate: withTexts(estimateInput(effective, facts, chat.mediaTokens(model), chat.unpackId), strangers.letThrough),
    toolUses: usesOf(tools),
    drop,
    ...strangers,
    choices: choicesOf(effective),
    toolFees: config.toolFees,
    tier: atLeastList(provider.tierMultiplier(askedTier(effective), model)),
    allowBelowCost: config.allowBelowCost,
    at: context.at,
    unseen: facts.hiddenReasoning || spoken || tools.some(({ addsInput }) => addsInput),
  }
  if (isOwn(key)) return { ...known, ...UNCHARGED, price: costPrice(provider, deployment, model, context) }
  const price = candidatePrice(provider, deployment, effective, context)
  known.estimate = withinWindow(known.estimate, price)
  refuseUnpricedTools(tools, price)
  const surcharge = surchargeOf(tools, price, config)
  const isCapBelieved = strangers.letThrough.length === 0
  return {
    ...known,
    price,
    possible: possibleWith(effective, { ...known, price }, facts, tools, surcharge, request, isCapBelieved),
    ...chargedAt(
      price,
      { ...known, tier: dearestTier(known, effective, context), longCacheWrites: asksForLongCache(effective) },
      spoken,
      context,
      surcharge,
    ),
    ...outputOf(
      {
        asked: outputCapOf(effective),
        most: deployment.maxOutputTokens ?? facts.maxOutputTokens,
        possible: chat.leastOutput?.(effective, model) ?? 1,
        stoppable: request.stream && !provider.billsAbandoned,
        topSpeed: facts.hiddenReasoning || spoken ? (facts.topSpeed ?? TOP_SPEED) : null,
      },
      config,
      isCapBelieved,
    ),
  }
}

/** What a call by the caller's own key is held and charged at. Nothing is at stake here, so nothing bounds its output either. */
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
  }: Pick<Candidate, 'deployment' | 'estimate' | 'toolUses' | 'choices' | 'tier'> & { longCacheWrites: boolean },
  spoken: boolean,
  { config, caller, powerLevel }: CandidateContext,
  surcharge: bigint,
): Pick<Candidate, 'markup' | 'level' | 'quote'> {
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
    tier,
    longCacheWrites,
    allowBelowCost: config.allowBelowCost,
    audioOutput: spoken,
  })
  return { markup, level, quote: bound }
}

/** Every byte of the request may be input to some server, whatever we know of its members. */
function possibleWith(
  effective: Readonly<Record<string, unknown>>,
  { deployment, estimate, price, choices }: Pick<Candidate, 'deployment' | 'estimate' | 'price' | 'choices'>,
  facts: ModelFacts,
  tools: readonly ServerTool[],
  surcharge: bigint,
  request: ChatRequest,
  isCapBelieved: boolean,
): Candidate['possible'] {
  const bytes = Math.max(estimate.bytes, request.text.length + JSON.stringify(deployment.defaults).length)
  const windows = [price.contextWindow, deployment.maxInputTokens].filter((window) => window !== null)
  const input = possibleInput({
    estimate: { ...estimate, bytes },
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
    const cap = isCapBelieved || limit === null ? (appliedCap ?? outputCapOf(effective)) : null
    const output = possibleOutput(cap, limit, choices, overrun)
    return { input, output, toolUses, surcharge }
  }
}

/** A model reads no more than its context window, whatever its media could be. */
function withinWindow(estimate: InputEstimate, { contextWindow }: Price): InputEstimate {
  const most = contextWindow ?? Number.MAX_SAFE_INTEGER
  const within = ({ media, audioInput }: InputEstimate['expected']) => ({
    media: Math.min(media, most),
    audioInput: Math.min(audioInput, most),
  })
  return { ...estimate, ...within(estimate), expected: within(estimate.expected), least: within(estimate.least) }
}

/** @throws {TollgateError} 400, naming what the provider can't honour and the operator does not let us leave out. */
function droppedMembers({ chat }: ChatProvider, deployment: RoutedDeployment, refusals: readonly Refusal[]): string[] {
  // The operator knows better what his server takes; what has to be translated can't be sent all the same.
  const allowed = chat.takes(deployment.apiBase) === null ? [] : deployment.allowedParams
  const refused = refusals.filter(({ param, droppable }) => !(droppable && allowed.includes(param)))
  for (const { param, message, droppable } of refused) {
    if (droppable && deployment.dropParams) continue
    throw new TollgateError(400, 'unsupported_parameter', message, { param })
  }
  return refused.map(({ param }) => param)
}

function without(json: Readonly<Record<string, unknown>>, members: readonly string[]): Record<string, unknown> {
  // A set: a caller may send as many members that nobody knows as fit into a body.
  const out = new Set(members)
  return Object.fromEntries(Object.entries(json).filter(([key]) => !out.has(key)))
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

/** What a cheaper tier saves is believed of the answer that states it: a server that knows no tiers takes the word and bills the list price. */
function atLeastList(asked: bigint): bigint {
  return asked > MILLION ? asked : MILLION
}

/** The tier that is held for: where none is asked for, the provider's own setting decides. */
function dearestTier(
  { tier, deployment }: Pick<Candidate, 'tier' | 'deployment'>,
  effective: Readonly<Record<string, unknown>>,
  { usualTiers }: CandidateContext,
): bigint {
  const usual = leavesTier(effective) ? usualTiers.of(deployment.id) : tier
  return usual > tier ? usual : tier
}

/** It asks for no tier of its own. */
export function leavesTier(json: Readonly<Record<string, unknown>>): boolean {
  const asked = askedTier(json)
  return asked === null || asked === 'auto'
}

function askedTier(json: Readonly<Record<string, unknown>>): string | null {
  return typeof json.service_tier === 'string' ? json.service_tier : null
}

/** `X-Power-Level` wins over the body; a level we don't know counts as balanced. */
export function powerLevelOf(header: string | string[] | undefined, body: unknown): PowerLevel {
  const named = typeof header === 'string' ? header.trim().toLowerCase() : body
  return named === 'eco' || named === 'precision' ? named : 'balanced'
}
