/** Usage -> charge -> the books. The one place where a call that ran becomes a charge. */
import type { ProviderError, Reading } from '../../providers/provider.ts'
import type { Closing, Ledger, Outcome, Pending, Provenance, Settled } from '../ledger/ledger.ts'
import { type Charge, charge, MILLION } from '../metering/charge.ts'
import { estimateText } from '../metering/estimate.ts'
import { trimDecimal } from '../metering/money.ts'
import type { Price, PriceBook } from '../metering/price.ts'
import type { Tokenizer } from '../metering/tokenizer.ts'
import { NO_USAGE, openAiShape, type Usage } from '../metering/usage.ts'
import type { Log } from '../observe/log.ts'
import { type Call, payerOf } from './call.ts'
import { isOwn } from './choose-key.ts'
import { countInput, countText } from './count-input.ts'
import { UNKNOWN_PRICE } from './offer-price.ts'

/** A charge this many times the quote is not believed. */
const DISPUTE_FACTOR = 20n
/** Nano-dollars. What an own key's call is said to cost beyond this is not believed: a million dollars, and what the books take. */
const MOST_API_COST = 10n ** 15n

export interface SettleDependencies {
  ledger: Ledger
  prices: PriceBook
  tokenizer: Tokenizer
  log: Log
  now: () => Date
}

export interface Served {
  reading: Reading
  finishReasons: readonly string[]
  /** Output text no stated usage covers. */
  outputText: () => string
  outcome: Outcome
}

export interface Bill {
  charge: Charge
  usage: Usage
  provenance: Provenance
  booking: Settled | Pending
  /** The provider's own total agreed with its parts. */
  consistent: boolean
}

/** Never throws: a call that ran is charged. */
export async function settleCall(deps: SettleDependencies, call: Call, served: Served): Promise<Bill> {
  const { usage, provenance: counted } = await usageOf(deps, call, served)
  const { priced, disputed, byBill, note } = isOwn(call.offer.key)
    ? costOf(deps, call, served.reading, usage)
    : priceOf(deps, call, served.reading, usage)
  const provenance = disputed ? 'disputed' : byBill ? 'provider_cost' : counted
  if (!served.reading.consistent) {
    deps.log.warn({ ...idsOf(call), usage }, "the provider's usage does not add up")
  }
  const booking = await deps.ledger.settle({
    ...identityOf(call),
    outcome: served.outcome,
    charge: priced.microcredits,
    apiCost: priced.apiCost,
    markup: priced.markupApplied,
    provenance,
    details: {
      ...detailsOf(deps, call),
      served_model: served.reading.model,
      service_tier: served.reading.serviceTier,
      finish_reasons: served.finishReasons,
      usage: openAiShape(usage),
      tool_uses: usage.toolFees,
      ...(note === undefined ? {} : { note }),
    },
  })
  return { charge: priced, usage, provenance, booking, consistent: served.reading.consistent }
}

/** Why a call failed, as its row may say it: callers read the row, so the provider's own words stay in the log. */
export function failureOf({ kind, status }: ProviderError): Record<string, unknown> {
  return { error: kind, provider_status: status }
}

/** A call that consumed nothing: the hold is dropped, its row stays. */
export async function releaseCall(
  deps: SettleDependencies,
  call: Call,
  outcome: Outcome,
  failure: Record<string, unknown>,
): Promise<void> {
  await deps.ledger.release({
    ...identityOf(call),
    outcome,
    details: { ...detailsOf(deps, call), ...failure },
  })
}

/** As stated, plus what was shown beyond it; where nothing was stated, counted. */
async function usageOf(
  deps: SettleDependencies,
  call: Call,
  served: Served,
): Promise<{ usage: Usage; provenance: Provenance }> {
  const { estimate, provider, deployment } = call.offer
  const stated = served.reading.usage
  const toolFees = { ...call.offer.toolUses, ...stated?.toolFees }
  const text = served.outputText()
  if (stated !== null && text === '') return { usage: { ...stated, toolFees }, provenance: 'provider_usage' }
  const facts = provider.model(deployment.upstreamModel)
  try {
    const shown = await countText(deps.tokenizer, text, facts)
    if (stated !== null)
      return { usage: { ...stated, output: stated.output + shown, toolFees }, provenance: 'estimated' }
    const said = await countInput(deps.tokenizer, call.request.json, facts, provider.unpackId, call.offer.letThrough)
    // Media at their usual size: what they can be at most is for holds.
    const { media, audioInput } = estimate.expected
    const usage = { ...NO_USAGE, input: said + media, audioInput, output: shown, toolFees }
    return { usage, provenance: 'estimated' }
  } catch (error) {
    deps.log.error({ ...idsOf(call), err: error }, 'counting failed; charged by the fast estimate')
    const { media, audioInput } = estimate.expected
    const base = stated ?? { ...NO_USAGE, input: estimate.tokens + media, audioInput }
    return { usage: { ...base, output: base.output + estimateText(text), toolFees }, provenance: 'estimated' }
  }
}

interface Priced {
  priced: Charge
  disputed: boolean
  byBill: boolean
  /** For the row. */
  note?: string
}

const NO_PARTS = { input: 0n, cacheRead: 0n, cacheWrite: 0n, output: 0n, reasoning: 0n, tools: 0n }

/** By the caller's own key: what the provider takes, for the row. Its bill comes first, also a bill of nothing; no credits move. */
function costOf(deps: SettleDependencies, call: Call, reading: Reading, usage: Usage): Priced {
  const price = servedPrice(deps, call, reading.model)
  const { apiCost } = charge({
    usage,
    // What the operator wrote stands for the list here: a bill is better than any list.
    price: { ...price, source: 'data_set' },
    byModel: pricedByModel(deps, call, reading),
    tier: tierOf(call, reading),
    providerCost: reading.cost,
    markup: 0n,
    level: MILLION,
    allowBelowCost: true,
  })
  const believed = apiCost <= MOST_API_COST
  const priced = { microcredits: 0n, apiCost: believed ? apiCost : 0n, markupApplied: 0n, parts: NO_PARTS }
  const answer = { priced, disputed: false, byBill: reading.cost !== null }
  if (!believed) return { ...answer, note: "api_cost is 0: the provider's numbers are beyond belief" }
  if (price !== UNKNOWN_PRICE || reading.cost !== null) return answer
  return { ...answer, note: 'api_cost is 0: no price is known for this model' }
}

/** The model and tier that served set the price; a charge beyond belief is booked at the quote and alarmed. */
function priceOf(deps: SettleDependencies, call: Call, reading: Reading, usage: Usage): Priced {
  const { offer } = call
  const { markup, level, allowBelowCost } = offer
  const price = servedPrice(deps, call, reading.model)
  const providerCost = believedCost(reading, price)
  const priced = charge({
    markup,
    level,
    allowBelowCost,
    usage,
    price,
    byModel: pricedByModel(deps, call, reading),
    tier: tierOf(call, reading),
    providerCost,
  })
  const byBill = providerCost !== null
  const quoted = offer.quote.input + offer.quote.outputFor(offer.wanted)
  const believable = offer.extendable && call.held > quoted ? call.held : quoted
  if (priced.microcredits <= believable * DISPUTE_FACTOR) return { priced, disputed: false, byBill }
  deps.log.error(
    { ...idsOf(call), usage, quoted, charge: priced.microcredits },
    "DISPUTED: the provider's numbers are beyond belief; booked at the quote",
  )
  const apiCost = priced.apiCost < believable ? priced.apiCost : believable
  const parts = { input: 0n, cacheRead: 0n, cacheWrite: 0n, output: believable, reasoning: 0n, tools: 0n }
  const booked = { microcredits: believable, apiCost, markupApplied: believable - apiCost, parts }
  return { priced: booked, disputed: true, byBill }
}

function pricedByModel(
  deps: SettleDependencies,
  call: Call,
  { byModel }: Reading,
): { usage: Usage; price: Price }[] | null {
  return byModel?.map(({ usage, model }) => ({ usage, price: servedPrice(deps, call, model) })) ?? null
}

/** The operator's own price comes first; and a bill of nothing is believed only where nothing is the price. */
function believedCost({ cost }: Reading, price: Price): bigint | null {
  if (cost === null || price.source === 'operator') return null
  const isFree = price.tiers.every(({ rates }) => rates.input === 0n && rates.output === 0n)
  return cost > 0n || isFree ? cost : null
}

function servedPrice(deps: SettleDependencies, call: Call, served: string | null): Price {
  const { deployment, provider, price, at } = call.offer
  // Whoever may have served: the dearest of them.
  if (served === null) return price
  const model = provider.pricedAs(deployment.upstreamModel, served)
  return (
    deps.prices.find({
      listed: provider.listedAs(model),
      at,
      operator: deployment.price,
      toolFees: call.offer.toolFees,
    }) ?? price
  )
}

function tierOf(call: Call, reading: Reading): bigint {
  const { provider, deployment, tier } = call.offer
  return reading.serviceTier === null ? tier : provider.tierMultiplier(reading.serviceTier, deployment.upstreamModel)
}

function detailsOf(deps: SettleDependencies, call: Call): Record<string, unknown> {
  const { offer, timing, exchange } = call
  return {
    key_id: call.caller.keyId,
    model: call.modelGroup,
    provider: offer.deployment.provider,
    deployment: offer.deployment.id,
    upstream_model: offer.deployment.upstreamModel,
    ...(isOwn(offer.key) ? { byok: true, key_owner: offer.key.owner } : {}),
    stream: call.request.stream,
    power_level: offer.powerLevel,
    price: offer.price.reference,
    markup_percent: Number(offer.markup) / 10_000,
    held: trimDecimal(call.held, 6),
    retries: call.retries,
    fallbacks: call.fallbacks,
    finished_at: deps.now().toISOString(),
    duration_ms: Math.round(performance.now() - exchange.startedAt),
    upstream_ms: Math.round(timing.upstreamMs),
    first_byte_ms: timing.firstByteAt === null ? null : Math.round(timing.firstByteAt - exchange.startedAt),
  }
}

/** Whose call it is and which, as its row says. */
function identityOf(call: Call): Omit<Closing, 'outcome' | 'details'> {
  const { callId, callerRequestId: requestId } = call.exchange
  return { ...payerOf(call.caller), callId, serviceName: call.modelGroup, requestId }
}

function idsOf(call: Call): Record<string, string> {
  return { call_id: call.exchange.callId, request_id: call.exchange.requestId, model: call.modelGroup }
}
