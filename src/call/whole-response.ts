/** A non-streaming call: it is finished and charged even when the caller has left, and settled before the response goes out. */
import type { ProviderError, ProviderResponse } from '../../providers/provider.ts'
import { isPaid, type Reading } from '../../providers/reading.ts'
import { inputCost } from './accrued-cost.ts'
import type { Admitted, Attempt } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { OutgoingRequest } from './endpoint.ts'
import { logCall } from './log-call.ts'
import { remember } from './memory.ts'
import { afterCharge, type Ending, paidError } from './paid-error.ts'
import { type Failure, failureWith, fromConnection, toCallerError } from './provider-failure.ts'
import { receiptOf } from './receipt-of.ts'
import { billHeaders, shownCost } from './response-headers.ts'
import { fetchWhole, onConnection, readContext } from './send-attempt.ts'
import { paidNothing } from './served.ts'
import { failureOf, releaseCall, settleCall, settleUnknown } from './settle-call.ts'
import { tryCandidates } from './try-candidates.ts'
import { isSuccess } from './upstream.ts'
import type { Made } from './visit.ts'

/** A failure that delivered nothing but states a usage: it is charged, and not tried again. */
type PaidError = ProviderError & { consumed: Reading }
type Result = { response: ProviderResponse } | { paid: PaidError }

export async function wholeResponse(deps: CallDependencies, call: Admitted): Promise<Ending> {
  const tried = await tryCandidates(deps, call, (attempt) => make(deps, attempt))
  const { attempt } = tried
  if ('failed' in tried) return fail(deps, attempt, tried.failed)
  return 'paid' in tried.ok ? chargeError(deps, attempt, tried.ok.paid) : respond(deps, attempt, tried.ok.response)
}

async function fail(deps: CallDependencies, attempt: Attempt, failure: Failure): Promise<Ending> {
  const error = toCallerError(failure, deps.clock.now())
  const bill = await settleUnknown(deps, attempt, failure)
  if (bill === null) {
    await releaseCall(deps, attempt, 'failed', failureOf(failure))
    logCall(deps, attempt, { outcome: 'failed', error: failure })
    throw error
  }
  logCall(deps, attempt, { outcome: 'cut_off', bill, error: failure })
  return paidError(deps.clock, attempt, bill, error)
}

async function make(deps: CallDependencies, attempt: Attempt): Promise<Made<Result>> {
  const sent = await onConnection(deps, attempt, (request) => exchangeWhole(deps, attempt, request))
  if ('error' in sent) return sent
  const { result } = sent
  if (!('kind' in result)) return { ok: { response: result }, told: result.reading }
  const { consumed } = result
  if (consumed === undefined || !attempt.candidate.payer.isCharged) return { error: result }
  return { ok: { paid: { ...result, consumed } }, told: result }
}

async function exchangeWhole(
  deps: CallDependencies,
  attempt: Attempt,
  request: OutgoingRequest | null,
): Promise<ProviderResponse | ProviderError> {
  const { call, candidate, timing } = attempt
  const { provider } = candidate.terms
  const { monotonic } = deps.clock
  timing.startedAt = monotonic()
  try {
    const fetched = fetchWhole(deps, attempt, request)
    deps.money.ledger.checkpoint(call.exchange.callId, call.caller.organizationId, inputCost(candidate))
    const { status, headers, body } = await fetched
    if (!isSuccess(status)) return provider.readError(status, headers, body)
    return candidate.terms.readWhole(body, readContext(attempt)) ?? unreadable(attempt, body)
  } catch (error) {
    return fromConnection(provider.label, error as Error)
  } finally {
    timing.upstreamMs += monotonic() - timing.startedAt
  }
}

/** The error for a body that is not a response. If it is a stream that nobody requested, it may still state its usage. */
function unreadable(attempt: Attempt, body: Buffer): ProviderError {
  const { label } = attempt.candidate.terms.provider
  const error = fromConnection(label, new Error('the body is not a response of this endpoint'))
  const consumed = streamedUsage(attempt, body)
  return consumed !== null && isPaid(consumed) ? { ...error, consumed } : error
}

function streamedUsage(attempt: Attempt, body: Buffer): Reading | null {
  try {
    const reader = attempt.candidate.terms.readStream(readContext(attempt))
    const { done } = reader.push(body)
    if (!done) reader.end()
    return reader.isFinal ? reader.reading : null
  } catch {
    // The line is larger than any frame, or the endpoint has no streams.
    return null
  }
}

async function chargeError(deps: CallDependencies, attempt: Attempt, paid: PaidError): Promise<Ending> {
  const bill = await settleCall(deps, attempt, paidNothing(paid.consumed))
  const error = failureWith(attempt.candidate, paid)
  logCall(deps, attempt, { outcome: 'cut_off', bill, error })
  return paidError(deps.clock, attempt, bill, toCallerError(error, deps.clock.now()))
}

async function respond(deps: CallDependencies, attempt: Attempt, response: ProviderResponse): Promise<Ending> {
  const { exchange, endpoint } = attempt.call
  const outcome = exchange.clientDisconnected ? 'client_disconnected' : 'answered'
  const bill = await settleCall(deps, attempt, { ...response, isFinal: true, outcome })
  return afterCharge(deps.clock, attempt, bill, () => {
    const costs = billHeaders(attempt, bill, deps.clock.monotonic())
    const headers = { 'content-type': response.contentType ?? 'application/json; charset=utf-8', ...costs }
    const rendered = response.body(shownCost(attempt, bill), endpoint.usageShape(bill.usage), !bill.asStated)
    const body = endpoint.addReceipt?.(rendered, receiptOf(attempt, bill)) ?? rendered
    remember(deps.memory, attempt.call, body)
    logCall(deps, attempt, { outcome, bill })
    return {
      key: { status: 200, headers, body },
      send() {
        if (exchange.clientDisconnected) return
        exchange.outgoing.writeHead(200, { ...headers, 'content-length': body.length })
        exchange.outgoing.end(body)
      },
    }
  })
}
