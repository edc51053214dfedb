/** A streaming call: bytes pass while they are metered; it is settled before the caller sees the end. */
import type { ProviderError, StreamReader } from '../../providers/provider.ts'
import { isPaid } from '../../providers/reading.ts'
import type { TollgateError } from '../http/errors.ts'
import type { Ended, Outcome } from '../ledger/ledger.ts'
import { inputCost } from './accrued-cost.ts'
import { type Admitted, type Attempt, firstAttempt } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { type ClientStream, openClientStream } from './client-stream.ts'
import { endedError } from './ended-error.ts'
import { logCall } from './log-call.ts'
import { afterCharge, type Ending, paidError } from './paid-error.ts'
import { type Failure, failureWith, fromConnection, toCallerError } from './provider-failure.ts'
import { disconnectedReadOnMs, readOnMs } from './read-on.ts'
import { type RelayEnd, relayStream } from './relay-stream.ts'
import { shownCost, streamHeaders } from './response-headers.ts'
import { onConnection, readContext, startStream } from './send-attempt.ts'
import { paidNothing, type Served } from './served.ts'
import { type Bill, failureOf, releaseCall, settleCall } from './settle-call.ts'
import { createStreamMeter } from './stream-meter.ts'
import { type Made, tryCandidates } from './try-candidates.ts'

export async function streamResponse(deps: CallDependencies, call: Admitted): Promise<Ending> {
  const { monotonic } = deps.clock
  let current = firstAttempt(call, false)
  const mayChange = call.candidates.length > 1 || deps.config.numRetries > 0
  const client = openClientStream(
    call.exchange,
    call.endpoint.stream,
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

/** What was delivered, and how that ended. */
interface Relayed {
  end: RelayEnd
  reader: StreamReader
}

async function make(deps: CallDependencies, attempt: Attempt, client: ClientStream): Promise<Made<Relayed>> {
  const { terms, payer } = attempt.candidate
  const reader = terms.readStream(readContext(attempt))
  const sent = await onConnection(deps, attempt, () => relay(deps, attempt, client, reader))
  if ('error' in sent) return sent
  const end = sent.result
  const isUnpaid = end.kind === 'failed' && (end.error.consumed === undefined || !payer.isCharged)
  return end.kind === 'failed' && isUnpaid && !reader.hasContent ? { error: end.error } : { ok: { end, reader } }
}

async function relay(
  deps: CallDependencies,
  attempt: Attempt,
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
    onEnded: (why) => client.end(call.endpoint.stream.error(endedError(why))),
    start: (handler) => startStream(deps, attempt, handler),
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

/** JSON where a stream was asked for: an error, or a response that nobody can be shown as a stream and that was paid for. */
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
    return { key: 'streamed', send: () => client.end(lastFrames(attempt, end, error, reader, bill)) }
  })
}

/** The payer may spend no longer, and the call had not gone out or the provider refused it: nothing was consumed. */
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

/** Nothing was delivered: nothing is charged. */
async function giveUp(deps: CallDependencies, attempt: Attempt, client: ClientStream, error: Failure): Promise<Ending> {
  await releaseCall(deps, attempt, 'failed', failureOf(error))
  logCall(deps, attempt, { outcome: 'failed', error })
  return refusal(attempt, client, toCallerError(error, deps.clock.now()))
}

/** The error keeps its status where headers have not left. */
function refusal({ call }: Attempt, client: ClientStream, error: TollgateError): Ending {
  if (!client.opened) throw error
  return { key: 'released', send: () => client.end(call.endpoint.stream.error(error)) }
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
): Buffer {
  const { request, endpoint } = attempt.call
  const frames: Buffer[] = []
  if (end.kind === 'stopped') frames.push(end.frames)
  if (error !== null) frames.push(endpoint.stream.error(error))
  if (bill.booking.state === 'pending') frames.push(endpoint.stream.pending)
  if (error === null) {
    const usage = endpoint.usageShape(bill.usage)
    if (request.includeUsage) frames.push(reader.usageFrame(shownCost(attempt, bill), usage, !bill.asStated))
    frames.push(endpoint.stream.end)
  }
  return Buffer.concat(frames)
}
