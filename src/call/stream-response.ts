/** A streaming call: bytes pass to the caller while they are metered, and the call is settled before the caller sees the end. */
import type { ProviderError, StreamReader } from '../../providers/provider.ts'
import { isPaid } from '../../providers/reading.ts'
import type { TollgateError } from '../http/errors.ts'
import type { Ended, Outcome } from '../ledger/ledger.ts'
import { hasAnyStandIn } from '../routing/detours.ts'
import { inputCost } from './accrued-cost.ts'
import { type Admitted, type Attempt, firstAttempt } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { type ClientStream, openClientStream } from './client-stream.ts'
import { fallbacksOf } from './course.ts'
import { endedError } from './ended-error.ts'
import type { OutgoingRequest, StreamForm } from './endpoint.ts'
import { logCall } from './log-call.ts'
import { remember } from './memory.ts'
import { afterCharge, type Ending, paidError } from './paid-error.ts'
import { type Failure, failureWith, fromConnection, toCallerError } from './provider-failure.ts'
import { disconnectedReadOnMs, readOnMs } from './read-on.ts'
import { type RelayEnd, relayStream } from './relay-stream.ts'
import { shownCost, streamHeaders } from './response-headers.ts'
import { onConnection, readContext, startStream } from './send-attempt.ts'
import { paidNothing, type Served } from './served.ts'
import { type Bill, failureOf, releaseCall, settleCall, settleUnknown } from './settle-call.ts'
import { createStreamMeter } from './stream-meter.ts'
import { tryCandidates } from './try-candidates.ts'
import type { Made, Told } from './visit.ts'

export async function streamResponse(deps: CallDependencies, call: Admitted): Promise<Ending> {
  const { monotonic } = deps.clock
  let current = firstAttempt(call, false)
  const mayChange = call.candidates.length > 1 || hasAnyStandIn(fallbacksOf(deps.config, call), call.modelGroup)
  const client = openClientStream(
    call.exchange,
    formOf(call),
    (isDecided) => streamHeaders(current, !isDecided && mayChange, monotonic()),
    deps.config.limits.clientStallSeconds * 1000,
  )
  try {
    const tried = await tryCandidates(deps, call, (attempt) => {
      current = attempt
      return make(deps, attempt, client)
    })
    if ('ok' in tried) return await finish(deps, tried.attempt, client, tried.ok)
    return await giveUp(deps, tried.attempt, client, tried.failed)
  } catch (error) {
    client.dispose()
    throw error
  }
}

/** What was delivered, and how the relay ended. */
interface Relayed {
  end: RelayEnd
  reader: StreamReader
}

async function make(deps: CallDependencies, attempt: Attempt, client: ClientStream): Promise<Made<Relayed>> {
  const { terms, payer } = attempt.candidate
  const reader = terms.readStream(readContext(attempt))
  const sent = await onConnection(deps, attempt, (request) => relay(deps, { attempt, request }, client, reader))
  if ('error' in sent) return sent
  const end = sent.result
  const isUnpaid = end.kind === 'failed' && (end.error.consumed === undefined || !payer.isCharged)
  if (end.kind === 'failed' && isUnpaid && !reader.hasContent) return { error: end.error }
  return { ok: { end, reader }, told: toldBy(end, reader) }
}

function toldBy(end: RelayEnd, reader: StreamReader): Told {
  if (end.kind === 'done') return reader.reading
  return end.kind === 'failed' ? end.error : null
}

async function relay(
  deps: CallDependencies,
  { attempt, request }: { attempt: Attempt; request: OutgoingRequest | null },
  client: ClientStream,
  reader: StreamReader,
): Promise<RelayEnd> {
  const { call, candidate, timing } = attempt
  const { provider } = candidate.terms
  const { clock, config, money } = deps
  const before = timing.upstreamMs
  money.ledger.checkpoint(call.exchange.callId, call.caller.organizationId, inputCost(candidate))
  const meter = createStreamMeter({ ...money, now: clock.monotonic }, attempt, reader)
  timing.startedAt = clock.monotonic()
  const end = await relayStream({
    exchange: call.exchange,
    client,
    reader,
    shutdown: deps.shutdown,
    // Read on to the final usage where the provider bills to the end.
    drainMs: () => readOnMs(config, attempt, clock.monotonic()),
    // Otherwise a caller who disconnects just before the usage frame gets hidden reasoning free.
    disconnectedDrainMs: () => disconnectedReadOnMs(config, attempt, reader, clock.monotonic()),
    onEnded: (why) => client.end(formOf(call).error(endedError(why), client.delivered)),
    start: (handler) => startStream(deps, attempt, request, handler),
    readWhole: (body) => readWhole(attempt, body),
    readError: (status, headers, body) => provider.readError(status, headers, body),
    readFailure: (error) => fromConnection(provider.label, error),
    onStart: (control) => meter.begin(control),
    onPassed: (control) => meter.passed(control),
    room: () => meter.room(),
    onFirstByte: () => {
      timing.firstByteAt ??= clock.monotonic()
      timing.upstreamMs = before + timing.firstByteAt - timing.startedAt
    },
  }).finally(() => meter.end())
  timing.upstreamMs = before + clock.monotonic() - timing.startedAt
  return end
}

/** Reads JSON that came instead of a stream: an error, or a whole response, which can't be shown as a stream but was paid for. */
function readWhole(attempt: Attempt, body: Buffer): ProviderError | null {
  const { terms } = attempt.candidate
  const read = terms.readWhole(body, readContext(attempt))
  if (read === null || 'kind' in read) return read
  const error = fromConnection(terms.provider.label, new Error('a whole response where a stream was asked for'))
  return isPaid(read.reading) ? { ...error, consumed: read.reading } : error
}

async function finish(
  deps: CallDependencies,
  attempt: Attempt,
  client: ClientStream,
  { end, reader }: Relayed,
): Promise<Ending> {
  if (end.kind === 'ended' && end.isUnpaid) return refuseEnded(deps, attempt, client, end.why)
  const outcome = outcomeOf(end)
  const consumed = end.kind === 'failed' ? end.error.consumed : undefined
  const served = consumed === undefined ? servedBy(reader, outcome) : paidNothing(consumed)
  const bill = await settleCall(deps, attempt, end.kind === 'ended' ? { ...served, ended: end.why } : served)
  return afterCharge(deps.clock, attempt, bill, () => {
    const failure = end.kind === 'failed' ? failureWith(attempt.candidate, end.error) : null
    logCall(deps, attempt, { outcome, bill, ...(failure === null ? {} : { error: failure }) })
    const ofProvider = failure === null ? null : toCallerError(failure, deps.clock.now())
    const error = end.kind === 'ended' ? endedError(end.why) : ofProvider
    if (error !== null && !client.opened) {
      client.dispose()
      return paidError(deps.clock, attempt, bill, error)
    }
    return {
      key: 'streamed',
      send() {
        const frames = lastFrames(attempt, end, error, reader, bill, client.delivered)
        if (error === null && frames !== null) remember(deps.memory, attempt.call, frames)
        client.end(frames)
      },
    }
  })
}

/** The payer may no longer spend, and the call did not go out or the provider refused it: nothing was consumed. */
async function refuseEnded(
  deps: CallDependencies,
  attempt: Attempt,
  client: ClientStream,
  why: Ended,
): Promise<Ending> {
  await releaseCall(deps, attempt, 'failed', { error: why })
  logCall(deps, attempt, { outcome: 'failed' })
  return refusal(attempt, client, endedError(why))
}

/** Nothing was delivered, so nothing is charged, unless the operator chose otherwise where nobody knows the end. */
async function giveUp(
  deps: CallDependencies,
  attempt: Attempt,
  client: ClientStream,
  failure: Failure,
): Promise<Ending> {
  const error = toCallerError(failure, deps.clock.now())
  const bill = await settleUnknown(deps, attempt, failure)
  if (bill === null) {
    await releaseCall(deps, attempt, 'failed', failureOf(failure))
    logCall(deps, attempt, { outcome: 'failed', error: failure })
    return refusal(attempt, client, error)
  }
  logCall(deps, attempt, { outcome: 'cut_off', bill, error: failure })
  if (!client.opened) {
    client.dispose()
    return paidError(deps.clock, attempt, bill, error)
  }
  return { key: 'streamed', send: () => client.end(formOf(attempt.call).error(error, client.delivered)) }
}

/** The error keeps its status if the headers have not left. */
function refusal({ call }: Attempt, client: ClientStream, error: TollgateError): Ending {
  if (!client.opened) throw error
  return { key: 'released', send: () => client.end(formOf(call).error(error, client.delivered)) }
}

function servedBy(reader: StreamReader, outcome: Outcome): Served {
  const { reading, finishReasons, isFinal, hasContent, frames, shownBytes } = reader
  const texts = { outputText: () => reader.outputText(), shownText: () => reader.shownText() }
  return { reading, finishReasons, isFinal, hasContent, frames, shownBytes, ...texts, outcome }
}

function outcomeOf(end: RelayEnd): Outcome {
  if (end.kind === 'done') return 'answered'
  if (end.kind === 'ended') return 'stopped'
  return end.kind === 'failed' ? 'cut_off' : end.kind
}

function lastFrames(
  attempt: Attempt,
  end: RelayEnd,
  error: TollgateError | null,
  reader: StreamReader,
  bill: Bill,
  isDelivered: boolean,
): Buffer | null {
  const { request, endpoint } = attempt.call
  const form = formOf(attempt.call)
  const failed = error === null ? Buffer.alloc(0) : form.error(error, isDelivered)
  if (failed === null) return null
  const frames: Buffer[] = []
  if (end.kind === 'stopped') frames.push(end.frames)
  frames.push(failed)
  if (bill.booking.state === 'pending') frames.push(form.pending)
  if (error === null) {
    const usage = endpoint.usageShape(bill.usage)
    if (request.includeUsage) frames.push(reader.usageFrame(shownCost(attempt, bill), usage, !bill.asStated))
    frames.push(form.end)
  }
  return Buffer.concat(frames)
}

function formOf({ request, endpoint }: Admitted): StreamForm {
  return request.streamForm ?? endpoint.stream
}
