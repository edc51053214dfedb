/** Logs one line for each admitted call and counts it in the metrics. The line holds no prompt text and no key. */

import type { Usage } from '../../providers/usage.ts'
import type { Outcome } from '../ledger/ledger.ts'
import { formatDecimal } from '../metering/money.ts'
import { callTrace, type TracedCall } from '../observe/call-trace.ts'
import type { Log } from '../observe/log.ts'
import type { CallBill, Metrics, TokenKind } from '../observe/metrics.ts'
import type { Traces } from '../observe/traces.ts'
import type { Attempt } from './admitted.ts'
import type { Clock } from './call-dependencies.ts'
import type { Failure } from './provider-failure.ts'
import type { Bill } from './settle-call.ts'
import { risksLeft } from './unknown-outcome.ts'

export interface CallEnd {
  outcome: Outcome
  /** Left out where the call consumed nothing. */
  bill?: Bill
  error?: Failure
}

/** Call it once for each call, when it is over. */
export function logCall(
  deps: { observe: { log: Log; metrics: Metrics; traces?: Traces }; clock: Clock },
  attempt: Attempt,
  end: CallEnd,
): void {
  const { call, candidate, timing } = attempt
  const { exchange, caller } = call
  const { deployment, payer } = candidate
  const total = deps.clock.monotonic() - exchange.startedAt
  const own = Math.max(0, total - timing.upstreamMs)
  const firstByte = timing.firstByteAt === null ? null : timing.firstByteAt - exchange.startedAt
  const line = {
    call_id: exchange.callId,
    request_id: exchange.requestId,
    org: caller.organizationId,
    user: caller.userId,
    model: call.modelGroup,
    provider: deployment.provider,
    deployment: deployment.id,
    ...(payer.keyOwner === null ? {} : { byok: payer.keyOwner }),
    stream: call.request.stream,
    outcome: end.outcome,
    held: formatDecimal(call.hold.held, 6),
    ...(end.bill === undefined
      ? {}
      : {
          charge: formatDecimal(end.bill.charge.microcredits, 6),
          provenance: end.bill.provenance,
          settlement: end.bill.booking.state,
        }),
    ...(end.error === undefined
      ? {}
      : { provider_error: end.error.kind, provider_status: end.error.status, provider_said: end.error.internal }),
    retries: attempt.retries,
    first_byte_ms: firstByte === null ? null : Math.round(firstByte),
    total_ms: Math.round(total),
    upstream_ms: Math.round(timing.upstreamMs),
    own_ms: Number(own.toFixed(3)),
  }
  const isCallers = end.error?.callerAccountAt !== undefined
  const isLoud = end.error !== undefined && !isCallers && ['auth', 'quota'].includes(end.error.kind)
  if (isLoud) deps.observe.log.error(line, 'THE PROVIDER REJECTS OUR ACCOUNT')
  else deps.observe.log.info(line, 'call')
  deps.observe.metrics.call({
    provider: deployment.mockResponse === null ? deployment.provider : 'mock',
    outcome: end.outcome,
    stream: call.request.stream,
    ownSeconds: own / 1000,
    firstByteSeconds: firstByte === null ? null : firstByte / 1000,
    bill: end.bill === undefined ? null : billOf(end.bill),
  })
  for (const [name, nanoDollars] of risksLeft(attempt, end.bill?.charge ?? null))
    deps.observe.metrics.atRisk(name, 'unknown', nanoDollars)
  // Failures are counted by kind, because a provider's own code may be any text.
  if (end.error !== undefined)
    deps.observe.metrics.error(exchange.outgoing, `${isCallers ? 'byok' : 'provider'}_${end.error.kind}`)
  const ended = { endedAt: deps.clock.now().getTime(), durationMs: total, firstByteMs: firstByte }
  deps.observe.traces?.tell(callTrace(tracedCall(attempt, end, ended)))
}

function tracedCall(
  { call, candidate, retries }: Attempt,
  { outcome, bill, error }: CallEnd,
  ended: Pick<TracedCall, 'endedAt' | 'durationMs' | 'firstByteMs'>,
): TracedCall {
  const { exchange, caller, endpoint } = call
  const { deployment } = candidate
  const { traceparent } = exchange.headers
  return {
    ...ended,
    callId: exchange.callId,
    serviceType: endpoint.serviceType,
    traceparent: typeof traceparent === 'string' ? traceparent : null,
    organizationId: caller.organizationId,
    userId: caller.userId,
    model: call.modelGroup,
    upstreamModel: deployment.upstreamModel,
    provider: deployment.provider,
    deploymentId: deployment.id,
    stream: call.request.stream,
    outcome,
    retries,
    bill: bill === undefined ? null : { ...bill, microcredits: bill.charge.microcredits },
    error: error?.kind ?? (outcome === 'answered' || outcome === 'stopped' ? null : outcome),
  }
}

function billOf({ charge, usage, provenance, booking, consistent }: Bill): CallBill {
  return {
    microcredits: charge.microcredits,
    nanoDollars: charge.apiCost,
    provenance,
    tokens: tokensOf(usage),
    pending: booking.state === 'pending',
    mismatch: !consistent,
  }
}

/** Reasoning is subtracted from the output that contains it, so that the kinds add up. */
function tokensOf(usage: Usage): Record<TokenKind, number> {
  const reasoning = Math.min(usage.reasoning, usage.output)
  return {
    input: usage.input,
    cache_read: usage.cacheRead + usage.cacheReadAudio,
    cache_write: usage.cacheWrite5m + usage.cacheWrite1h,
    output: usage.output - reasoning,
    reasoning,
    audio_input: usage.audioInput,
    audio_output: usage.audioOutput,
    image_output: usage.imageOutput,
  }
}
