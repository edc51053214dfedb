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
import type { Served } from './served.ts'

export type { Served } from './served.ts'

import { priceCallersAccount, priceStatement } from './price-statement.ts'

export type SettleDependencies = Pick<CallDependencies, 'admission' | 'clock' | 'learned' | 'money' | 'observe'>

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
export async function settleCall(deps: SettleDependencies, attempt: Attempt, served: Served): Promise<Bill> {
  const { call, candidate } = attempt
  const { reading, shownText, frames } = served
  const measured = await measureUsage(deps, attempt, served)
  const statement = {
    reading: statedUsage(served) === null ? { ...reading, usage: null } : reading,
    count: () => countServed(deps, attempt, shownText(), reading.toolUses),
    roughOutput: () => frames ?? estimateText(shownText()),
  }
  const priced = candidate.payer.isCharged
    ? await priceStatement(deps, attempt, statement, measured)
    : priceCallersAccount(deps, attempt, reading, measured)
  const { charge, usage, provenance, asStated } = priced
  learnFrom(deps, attempt, served, priced)
  deps.admission.rates.tokens(call.caller, usageRecord(usage).total_tokens)
  if (!reading.consistent) deps.observe.log.warn({ ...idsOf(call), usage }, "the provider's usage does not add up")
  const booking = await deps.money.ledger.settle({
    ...identityOf(attempt),
    outcome: served.outcome,
    charge: charge.microcredits,
    apiCost: charge.apiCost,
    markup: charge.markupApplied,
    provenance,
    details: {
      ...detailsOf(deps, attempt),
      served_model: reading.model,
      service_tier: reading.serviceTier,
      finish_reasons: served.finishReasons,
      usage: usageRecord(usage),
      tool_uses: usage.toolFees,
      ...(served.ended === undefined ? {} : { error: served.ended }),
      ...priced.details,
    },
  })
  return { charge, usage, asStated, provenance, booking, consistent: reading.consistent }
}

/** What later calls are held and estimated by: the share of hidden output, and the tier that serves calls which ask for none. */
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

/** Why a call failed, where it is not the provider who said so. */
export function errorCode(error: unknown): string {
  return error instanceof TollgateError ? error.code : 'internal'
}

/** Why a call failed, as its row may say it: callers read the row, so the provider's own words stay in the log. */
export function failureOf({ kind, status }: ProviderError): Record<string, unknown> {
  return { error: kind, provider_status: status }
}

/** A call that consumed nothing: the hold is dropped, its row stays. */
export async function releaseCall(
  deps: Pick<SettleDependencies, 'clock' | 'money'>,
  attempt: Attempt,
  outcome: Outcome,
  failure: Record<string, unknown>,
): Promise<void> {
  await deps.money.ledger.release({
    ...identityOf(attempt),
    outcome,
    details: { ...detailsOf(deps, attempt), ...failure },
  })
}

function detailsOf({ clock }: Pick<SettleDependencies, 'clock'>, attempt: Attempt): Record<string, unknown> {
  const { call, candidate, timing, retries, fallbacks } = attempt
  const { deployment, payer } = candidate
  const { startedAt } = call.exchange
  return {
    key_id: call.caller.keyId,
    model: call.modelGroup,
    provider: deployment.provider,
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
    finished_at: clock.now().toISOString(),
    duration_ms: Math.round(clock.monotonic() - startedAt),
    upstream_ms: Math.round(timing.upstreamMs),
    first_byte_ms: timing.firstByteAt === null ? null : Math.round(timing.firstByteAt - startedAt),
  }
}

/** Whose call it is and which, as its row says. */
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
