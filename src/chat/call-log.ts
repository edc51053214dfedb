/** The one log line of a call that was admitted. No prompt text, no key. */
import type { ProviderError } from '../../providers/provider.ts'
import type { Outcome } from '../ledger/ledger.ts'
import { formatDecimal } from '../metering/money.ts'
import type { Log } from '../observe/log.ts'
import type { Call } from './call.ts'
import type { Bill } from './settle-call.ts'

export function logCall(log: Log, call: Call, end: { outcome: Outcome; bill?: Bill; error?: ProviderError }): void {
  const { exchange, caller, offer, timing } = call
  const total = performance.now() - exchange.startedAt
  const line = {
    call_id: exchange.callId,
    request_id: exchange.requestId,
    org: caller.organizationId,
    user: caller.userId,
    model: call.modelGroup,
    provider: offer.deployment.provider,
    deployment: offer.deployment.id,
    stream: call.request.stream,
    outcome: end.outcome,
    held: formatDecimal(call.held, 6),
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
    retries: call.retries,
    first_byte_ms: timing.firstByteAt === null ? null : Math.round(timing.firstByteAt - exchange.startedAt),
    total_ms: Math.round(total),
    upstream_ms: Math.round(timing.upstreamMs),
    own_ms: Number(Math.max(0, total - timing.upstreamMs).toFixed(3)),
  }
  const loud = end.error !== undefined && ['auth', 'quota'].includes(end.error.kind)
  if (loud) log.error(line, 'THE PROVIDER REJECTS OUR ACCOUNT')
  else log.info(line, 'call')
}
