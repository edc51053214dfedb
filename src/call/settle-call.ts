/** Usage -> charge -> the books. The one place where a call that ran becomes a charge. */
import type { ProviderError, Reading } from '../../providers/provider.ts'
import { inputTokens, NO_USAGE, openAiShape, outputTokens, type Usage } from '../../providers/usage.ts'
import type { Closing, Ended, Ledger, Outcome, Pending, Provenance, Settled } from '../ledger/ledger.ts'
import type { Charge } from '../metering/charge.ts'
import { estimateText } from '../metering/estimate.ts'
import { trimDecimal } from '../metering/money.ts'
import { cutToPassed } from '../metering/plausible.ts'
import type { PriceBook } from '../metering/price.ts'
import type { Tokenizer } from '../metering/tokenizer.ts'
import type { Log } from '../observe/log.ts'
import { type Call, payerOf } from './call.ts'
import { leavesTier } from './candidate.ts'
import { isOwn } from './choose-key.ts'
import { countInput, countText } from './count-input.ts'
import type { HiddenShares } from './hidden-share.ts'
import { inputOf } from './place-hold.ts'
import { idsOf, type Measured, priceOwnKey, priceStatement } from './price-statement.ts'
import type { UsualTiers } from './usual-tiers.ts'

export interface SettleDependencies {
  ledger: Ledger
  prices: PriceBook
  tokenizer: Tokenizer
  log: Log
  now: () => Date
  /** What is billed and does not show, by model. */
  hiddenShares: HiddenShares
  /** The tiers that serve calls which ask for none. */
  usualTiers: UsualTiers
}

export interface Served {
  reading: Reading
  finishReasons: readonly string[]
  /** The usage in `reading` came with the end of the answer. */
  isFinal: boolean
  hasContent: boolean
  /** Output text no stated usage covers. */
  outputText: () => string
  /** All output text. */
  shownText: () => string
  /** Output tokens, roughly, where that is known without looking at the text. */
  frames?: number
  /** Bytes of the text, where that is known without looking at it. */
  shownBytes?: number
  outcome: Outcome
  /** Why its payer could spend no longer, where that ended it. */
  ended?: Ended
}

export interface Bill {
  charge: Charge
  /** What was charged for, and whether that is what the provider stated. */
  usage: Usage
  asStated: boolean
  provenance: Provenance
  booking: Settled | Pending
  /** The provider's own total agreed with its parts. */
  consistent: boolean
}

/** Never throws: a call that ran is charged. */
export async function settleCall(deps: SettleDependencies, call: Call, served: Served): Promise<Bill> {
  const measured = await measure(deps, call, served)
  const { reading, shownText, frames } = served
  const statement = {
    reading: statedUsage(served) === null ? { ...reading, usage: null } : reading,
    count: () => countServed(deps, call, shownText()),
    roughOutput: () => frames ?? estimateText(shownText()),
  }
  const priced = isOwn(call.candidate.key)
    ? priceOwnKey(deps, call, reading, measured)
    : await priceStatement(deps, call, statement, measured)
  const { charge, usage, provenance, asStated } = priced
  if (hides(call) && provenance === 'provider_usage' && asStated && served.hasContent)
    deps.hiddenShares.learn(modelOf(call), usage, served.shownBytes ?? Buffer.byteLength(shownText()))
  learnTier(deps, call, reading.serviceTier)
  if (!served.reading.consistent) {
    deps.log.warn({ ...idsOf(call), usage }, "the provider's usage does not add up")
  }
  const booking = await deps.ledger.settle({
    ...identityOf(call),
    outcome: served.outcome,
    charge: charge.microcredits,
    apiCost: charge.apiCost,
    markup: charge.markupApplied,
    provenance,
    details: {
      ...detailsOf(deps, call),
      served_model: served.reading.model,
      service_tier: served.reading.serviceTier,
      finish_reasons: served.finishReasons,
      usage: openAiShape(usage),
      tool_uses: usage.toolFees,
      ...(served.ended === undefined ? {} : { error: served.ended }),
      ...priced.details,
    },
  })
  call.bill = { charge, usage, asStated, provenance, booking, consistent: served.reading.consistent }
  return call.bill
}

function learnTier({ usualTiers }: SettleDependencies, { candidate, request }: Call, stated: string | null): void {
  const { deployment, provider, key } = candidate
  if (stated === null || isOwn(key) || !leavesTier({ ...deployment.defaults, ...request.json })) return
  usualTiers.learn(deployment.id, provider.tierMultiplier(stated, deployment.upstreamModel))
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
async function measure(deps: SettleDependencies, call: Call, served: Served): Promise<Measured> {
  const stated = statedUsage(served)
  // First, for it reads all that was shown: once is enough.
  if (stated === null) return { ...(await measureUnstated(deps, call, served)), asStated: false }
  const toolFees = { ...call.candidate.toolUses, ...stated.toolFees }
  const text = served.outputText()
  if (text === '' && served.isFinal)
    return { usage: { ...stated, toolFees }, provenance: 'provider_usage', asStated: true }
  // Stated while the answer ran: as far as the bytes that had passed can be so much, and what came since is counted.
  const passed = Buffer.byteLength(served.shownText()) - Buffer.byteLength(text)
  const believed = cutToPassed(stated, passed)
  const counted = await countOutput(deps, call, text)
  const output = believed.output + counted + hiddenBeside(deps, call, served, counted)
  const usage = { ...believed, output, toolFees }
  const isWhole = believed === stated && text === ''
  return { usage, provenance: isWhole ? 'provider_usage' : 'estimated', asStated: false }
}

/** Nothing consumed beside content is no statement; but a bill is one, whatever its tokens are. */
function statedUsage({ reading: { usage, cost }, hasContent }: Served): Usage | null {
  if (usage === null || !hasContent || (cost ?? 0n) > 0n) return usage
  return inputTokens(usage) + outputTokens(usage) > 0 ? usage : null
}

async function measureUnstated(
  deps: SettleDependencies,
  call: Call,
  served: Served,
): Promise<Pick<Measured, 'usage' | 'provenance'>> {
  // What delivered nothing costs nothing, unless it was the caller who did not wait for it.
  const isNothing = !served.hasContent && (served.outcome === 'answered' || served.outcome === 'cut_off')
  if (isNothing) return { usage: NO_USAGE, provenance: 'estimated' }
  const counted = await countServed(deps, call, served.shownText())
  const output = counted.output + hiddenBeside(deps, call, served, counted.output)
  return { usage: { ...counted, output }, provenance: 'estimated' }
}

function hides({ candidate }: Call): boolean {
  return candidate.topSpeed !== null
}

function modelOf({ candidate }: Call): string {
  return `${candidate.deployment.provider}/${candidate.deployment.upstreamModel}`
}

/**
 * Tokens that did not show in a stream that was left or stopped before its usage: the model's usual share of what did, as far as the
 * hold goes. The quote's rates are the dearest, so what fits by them fits by any.
 */
function hiddenBeside(deps: SettleDependencies, call: Call, { outcome }: Served, shown: number): number {
  if (!hides(call) || (outcome !== 'client_disconnected' && outcome !== 'stopped')) return 0
  const { quote, choices } = call.candidate
  const room = quote.outputTokensIn(call.held - inputOf(call, call.candidate)) * choices - shown
  return Math.max(0, Math.min(deps.hiddenShares.hiddenFor(modelOf(call), shown), room))
}

/** What was served, by the model's tokenizer. */
async function countServed(deps: SettleDependencies, call: Call, text: string): Promise<Usage> {
  const { estimate, provider, deployment, letThrough, toolUses: toolFees } = call.candidate
  const facts = provider.model(deployment.upstreamModel)
  const output = await countOutput(deps, call, text)
  // Media at their usual size: what they can be at most is for holds.
  const { media, audioInput } = estimate.expected
  try {
    const { organizationId } = call.caller
    const said = await countInput(
      deps.tokenizer,
      call.request.json,
      facts,
      provider.chat.unpackId,
      organizationId,
      letThrough,
    )
    return { ...NO_USAGE, input: said + media, audioInput, output, toolFees }
  } catch (error) {
    deps.log.error({ ...idsOf(call), err: error }, 'counting failed; charged by the fast estimate')
    return { ...NO_USAGE, input: estimate.tokens + media, audioInput, output, toolFees }
  }
}

async function countOutput(deps: SettleDependencies, call: Call, text: string): Promise<number> {
  const { provider, deployment } = call.candidate
  try {
    if (text === '') return 0
    const facts = provider.model(deployment.upstreamModel)
    return await countText(deps.tokenizer, text, facts, call.caller.organizationId)
  } catch (error) {
    deps.log.error({ ...idsOf(call), err: error }, 'counting failed; charged by the fast estimate')
    return estimateText(text)
  }
}

function detailsOf(deps: SettleDependencies, call: Call): Record<string, unknown> {
  const { candidate, timing, exchange } = call
  return {
    key_id: call.caller.keyId,
    model: call.modelGroup,
    provider: candidate.deployment.provider,
    deployment: candidate.deployment.id,
    upstream_model: candidate.deployment.upstreamModel,
    ...(isOwn(candidate.key) ? { byok: true, key_owner: candidate.key.owner } : {}),
    stream: call.request.stream,
    power_level: candidate.powerLevel,
    price: candidate.price.reference,
    markup_percent: Number(candidate.markup) / 10_000,
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
