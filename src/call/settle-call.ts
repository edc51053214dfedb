/** Usage -> charge -> the books. The one place where a call that ran becomes a charge. */
import type { ProviderError } from '../../providers/provider.ts'
import { type Usage, usageRecord } from '../../providers/usage.ts'
import { TollgateError } from '../http/errors.ts'
import type { Closing, Outcome, Pending, Provenance, Settled } from '../ledger/ledger.ts'
import type { Charge } from '../metering/charge.ts'
import { estimateText } from '../metering/estimate.ts'
import { trimDecimal } from '../metering/money.ts'
import { type Attempt, idsOf, modelOf } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { leavesTier } from './candidate.ts'
import { countServed, measureUsage, statedUsage } from './measure-usage.ts'
import { type Priced, priceCallersAccount, priceStatement } from './price-statement.ts'
import type { Served } from './served.ts'
import { riskDetails, unknownCharge } from './unknown-outcome.ts'

export type { Served } from './served.ts'

export type SettleDependencies = Pick<CallDependencies, 'admission' | 'clock' | 'learned' | 'money' | 'observe'>

export type UnknownDependencies = Pick<CallDependencies, 'admission' | 'clock' | 'config' | 'money' | 'observe'>

export interface Bill {
  charge: Charge
  /** The usage that was charged, and whether the provider stated it. */
  usage: Usage
  asStated: boolean
  provenance: Provenance
  booking: Settled | Pending
  /** True if the provider's own total agreed with its parts. */
  consistent: boolean
  /** As the response named its model and its ends. */
  servedModel: string | null
  finishReasons: readonly string[]
}

/** Never throws: a call that ran is charged. */
export async function settleCall(deps: SettleDependencies, attempt: Attempt, served: Served): Promise<Bill> {
  const { call, candidate } = attempt
  const { reading, shownText, frames } = served
  const measured = await measureUsage(deps, attempt, served)
  const statement = {
    reading: statedUsage(served) === null ? { ...reading, usage: null } : reading,
    count: () => countServed(deps, attempt, shownText(), reading),
    roughOutput: () => frames ?? estimateText(shownText()),
  }
  const priced = candidate.payer.isCharged
    ? await priceStatement(deps, attempt, statement, measured)
    : priceCallersAccount(deps, attempt, reading, measured)
  const { charge, usage, provenance, asStated } = priced
  learnFrom(deps, attempt, served, priced)
  deps.admission.rates.tokens(call.caller, call.modelGroup, usageRecord(usage).total_tokens)
  if (!reading.consistent) deps.observe.log.warn({ ...idsOf(call), usage }, "the provider's usage does not add up")
  const booking = await book(deps, attempt, served.outcome, {
    ...priced,
    details: {
      served_model: reading.model,
      service_tier: reading.serviceTier,
      finish_reasons: served.finishReasons,
      ...(served.ended === undefined ? {} : { error: served.ended }),
      ...priced.details,
    },
  })
  const { consistent, model: servedModel } = reading
  return { charge, usage, asStated, provenance, booking, consistent, servedModel, finishReasons: served.finishReasons }
}

/** Charges an attempt whose end nobody knows, as the operator chose. Returns null where nothing is charged: the call is to be released. */
export async function settleUnknown(
  deps: UnknownDependencies,
  attempt: Attempt,
  error: ProviderError,
): Promise<Bill | null> {
  const unknown = unknownCharge(deps.config.unknownOutcome, attempt)
  if (unknown === null) return null
  const { caller, modelGroup } = attempt.call
  deps.admission.rates.tokens(caller, modelGroup, usageRecord(unknown.usage).total_tokens)
  const booking = await book(deps, attempt, 'cut_off', {
    ...unknown,
    provenance: 'estimated',
    details: failureOf(error),
  })
  const unread = { consistent: true, servedModel: null, finishReasons: [] }
  return { ...unknown, ...unread, asStated: false, provenance: 'estimated', booking }
}

async function book(
  deps: Pick<SettleDependencies, 'clock' | 'money' | 'observe'>,
  attempt: Attempt,
  outcome: Outcome,
  { charge, usage, provenance, details }: Omit<Priced, 'asStated'>,
): Promise<Settled | Pending> {
  const booking = await deps.money.ledger.settle({
    ...identityOf(attempt),
    outcome,
    charge: charge.microcredits,
    apiCost: charge.apiCost,
    markup: charge.markupApplied,
    provenance,
    details: {
      ...detailsOf(deps, attempt, charge),
      usage: usageRecord(usage),
      tool_uses: usage.toolFees,
      ...details,
    },
  })
  tellOfSoftBudget(deps, attempt.call, charge.microcredits, booking)
  return booking
}

/** Once, by the call that crosses it. It refuses nothing. */
function tellOfSoftBudget(
  { observe }: Pick<SettleDependencies, 'observe'>,
  { caller, exchange }: Attempt['call'],
  charged: bigint,
  booking: Settled | Pending,
): void {
  const soft = caller.spenders.find(({ kind }) => kind === 'key')?.softBudget ?? null
  if (soft === null || booking.state === 'pending' || booking.keySpend === null) return
  if (booking.keySpend < soft || booking.keySpend - charged >= soft) return
  const said = {
    key_id: caller.keyId,
    call_id: exchange.callId,
    spend: trimDecimal(booking.keySpend, 9),
    soft_budget: trimDecimal(soft, 9),
  }
  observe.log.warn(said, 'a virtual key has spent its soft budget')
}

/** Learns for the holds and estimates of later calls: the share of hidden output, and the usual tier of calls that ask for none. */
function learnFrom(
  { learned }: SettleDependencies,
  attempt: Attempt,
  { reading: { serviceTier: stated }, hasContent, shownBytes, shownText }: Served,
  { usage, provenance, asStated }: Pick<Bill, 'usage' | 'provenance' | 'asStated'>,
): void {
  const { deployment, terms, payer, topSpeed } = attempt.candidate
  if (topSpeed !== null && provenance === 'provider_usage' && asStated && hasContent)
    learned.hiddenShares.learn(modelOf(attempt), usage, shownBytes ?? Buffer.byteLength(shownText()))
  if (stated !== null && payer.isCharged && leavesTier(terms))
    learned.usualTiers.learn(deployment.id, terms.provider.tierMultiplier(stated, deployment.upstreamModel))
}

/** The code of a failure that the provider did not state. */
export function errorCode(error: unknown): string {
  return error instanceof TollgateError ? error.code : 'internal'
}

/** Why a call failed, for its row. Callers read the row, so the provider's own words stay in the log. */
export function failureOf({ kind, status }: ProviderError): Record<string, unknown> {
  return { error: kind, provider_status: status }
}

/** Ends a call that consumed nothing: its hold is dropped, its row stays. */
export async function releaseCall(
  deps: Pick<SettleDependencies, 'clock' | 'money'>,
  attempt: Attempt,
  outcome: Outcome,
  failure: Record<string, unknown>,
): Promise<void> {
  await deps.money.ledger.release({
    ...identityOf(attempt),
    outcome,
    details: { ...detailsOf(deps, attempt, null), ...failure },
  })
}

function detailsOf(
  { clock }: Pick<SettleDependencies, 'clock'>,
  attempt: Attempt,
  charge: Charge | null,
): Record<string, unknown> {
  const { call, candidate, timing, retries, fallbacks } = attempt
  const { deployment, payer } = candidate
  const { startedAt } = call.exchange
  return {
    key_id: call.caller.keyId,
    ...spendersIn(call),
    ...call.session,
    model: call.modelGroup,
    provider: deployment.provider,
    ...(candidate.group === call.modelGroup ? {} : { group: candidate.group }),
    deployment: deployment.id,
    upstream_model: deployment.upstreamModel,
    ...(payer.keyOwner === null ? {} : { byok: true, key_owner: payer.keyOwner }),
    stream: call.request.stream,
    power_level: candidate.powerLevel,
    price: candidate.price.reference,
    markup_percent: Number(candidate.markup) / 10_000,
    ...(candidate.floor === null ? {} : { quoted_price: candidate.floor.version }),
    held: trimDecimal(call.hold.held, 6),
    retries,
    fallbacks,
    ...riskDetails(attempt, charge),
    finished_at: clock.now().toISOString(),
    duration_ms: Math.round(clock.monotonic() - startedAt),
    upstream_ms: Math.round(timing.upstreamMs),
    first_byte_ms: timing.firstByteAt === null ? null : Math.round(timing.firstByteAt - startedAt),
  }
}

/** For reports of spending: the team, the customer, and the tags of key and request. */
function spendersIn({ caller, request }: Attempt['call']): Record<string, unknown> {
  const named = caller.spenders.flatMap(({ kind, name }) =>
    kind === 'team' || kind === 'customer' ? [[kind, name]] : [],
  )
  const tags = [...new Set([...caller.spenders.flatMap((one) => one.tags), ...(request.asks?.tags ?? [])])]
  return { ...Object.fromEntries(named), ...(tags.length === 0 ? {} : { tags }) }
}

/** The members of a row that say which call it is and whose. */
function identityOf({ call }: Attempt): Omit<Closing, 'outcome' | 'details'> {
  const { caller, exchange, endpoint, modelGroup } = call
  return {
    organizationId: caller.organizationId,
    userId: caller.userId,
    keyId: caller.keyId,
    callId: exchange.callId,
    serviceType: endpoint.serviceType,
    serviceName: modelGroup,
    requestId: exchange.callerRequestId,
  }
}
