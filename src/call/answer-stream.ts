/** A streaming call: bytes pass while they are metered; it is settled before the caller sees the end. */
import { isPaid, type ProviderError, type StreamReader } from '../../providers/provider.ts'
import { dataFrame } from '../../providers/sse-frames.ts'
import { openAiShape } from '../../providers/usage.ts'
import { errorBody, type TollgateError } from '../http/errors.ts'
import type { Ended, Outcome } from '../ledger/ledger.ts'
import { shownCost, streamHeaders } from './answer-headers.ts'
import { paidNothing } from './answer-json.ts'
import { attemptsOf, tryCandidates } from './attempts.ts'
import type { Call } from './call.ts'
import { logCall } from './call-log.ts'
import type { Candidate } from './candidate.ts'
import type { ChatDependencies } from './chat.ts'
import { isOwn } from './choose-key.ts'
import { type ClientStream, DONE_FRAME, openClientStream } from './client-stream.ts'
import { dispatched } from './delivered.ts'
import { endedError } from './ended-error.ts'
import { type Ending, paidError } from './ending.ts'
import { type Failure, failureWith, fromConnection, toCallerError } from './provider-failure.ts'
import { goneReadOnMs, readOnMs } from './read-on.ts'
import { type RelayEnd, relayStream } from './relay-stream.ts'
import { type Bill, failureOf, releaseCall, type Served, settleCall } from './settle-call.ts'
import { answerContext, onConnection, startStream } from './start-upstream.ts'
import { createStreamMeter } from './stream-meter.ts'

const PENDING_COMMENT = Buffer.from(': settlement pending\n\n')

export async function answerStream(
  deps: ChatDependencies,
  call: Call,
  candidates: readonly Candidate[],
): Promise<Ending> {
  const client = openClientStream(
    call.exchange,
    (isDecided) => streamHeaders(call, !isDecided && (candidates.length > 1 || deps.config.numRetries > 0)),
    deps.config.limits.clientStallSeconds * 1000,
  )
  try {
    const result = await relayAttempts(deps, call, candidates, client)
    return await ('reader' in result ? finish(deps, call, client, result) : giveUp(deps, call, client, result))
  } catch (error) {
    client.dispose()
    throw error
  }
}

interface Relayed {
  end: RelayEnd
  reader: StreamReader
}

/** What was delivered, or why nothing was. */
async function relayAttempts(
  deps: ChatDependencies,
  call: Call,
  candidates: readonly Candidate[],
  client: ClientStream,
): Promise<Relayed | Failure> {
  let relayed: Relayed | null = null
  const failure = await tryCandidates(attemptsOf(deps), call, candidates, async () => {
    const reader = call.candidate.provider.chat.readStream(answerContext(call))
    const attempted = await onConnection(deps, call, () => relay(deps, call, client, reader))
    if (!attempted.made) return attempted.error
    const end = attempted.result
    const isUnpaid = end.kind === 'failed' && (end.error.consumed === undefined || isOwn(call.candidate.key))
    if (end.kind === 'failed' && isUnpaid && !reader.hasContent) return end.error
    relayed = { end, reader }
    return null
  })
  return failure ?? relayed!
}

async function finish(
  deps: ChatDependencies,
  call: Call,
  client: ClientStream,
  { end, reader }: Relayed,
): Promise<Ending> {
  if (end.kind === 'ended' && end.isUnpaid) return refuseEnded(deps, call, client, end.why)
  const outcome = outcomeOf(end)
  const consumed = end.kind === 'failed' ? end.error.consumed : undefined
  const served = consumed === undefined ? servedBy(reader, outcome) : paidNothing(consumed)
  const bill = await settleCall(deps, call, end.kind === 'ended' ? { ...served, ended: end.why } : served)
  const failure = end.kind === 'failed' ? failureWith(call.candidate, end.error) : null
  logCall(deps, call, { outcome, bill, ...(failure === null ? {} : { error: failure }) })
  const error = end.kind === 'ended' ? endedError(end.why) : failure === null ? null : toCallerError(failure)
  if (error !== null && !client.opened) {
    client.dispose()
    return paidError(call, bill, error)
  }
  return { key: 'streamed', send: () => client.end(lastFrames(call, end, error, reader, bill)) }
}

/** Its payer may spend no longer, and it had not gone out, or the provider refused it. */
async function refuseEnded(deps: ChatDependencies, call: Call, client: ClientStream, why: Ended): Promise<Ending> {
  await releaseCall(deps, call, 'failed', { error: why })
  logCall(deps, call, { outcome: 'failed' })
  return refusal(client, endedError(why))
}

/** The error keeps its status where headers have not left. */
function refusal(client: ClientStream, error: TollgateError): Ending {
  if (!client.opened) throw error
  return { key: 'released', send: () => client.end(errorFrame(error)) }
}

function errorFrame(error: TollgateError): Buffer {
  return dataFrame(JSON.stringify(errorBody(error)))
}

function servedBy(reader: StreamReader, outcome: Outcome): Served {
  const { reading, finishReasons, isFinal, hasContent, frames, shownBytes } = reader
  const texts = { outputText: () => reader.outputText(), shownText: () => reader.shownText() }
  return { reading, finishReasons, isFinal, hasContent, frames, shownBytes, ...texts, outcome }
}

async function relay(
  deps: ChatDependencies,
  call: Call,
  client: ClientStream,
  reader: StreamReader,
): Promise<RelayEnd> {
  const { provider } = call.candidate
  const { ledger, tokenizer, config } = deps
  ledger.checkpoint(call.exchange.callId, call.caller.organizationId, dispatched(call))
  const meter = createStreamMeter({ ledger, tokenizer, now: () => performance.now() }, call, reader)
  call.timing.upstreamStartedAt = performance.now()
  const end = await relayStream({
    exchange: call.exchange,
    client,
    reader,
    shutdown: deps.shutdown,
    // What it bills for is what is learned, not only what was passed on.
    drainMs: () => readOnMs(config, call),
    // Who leaves with the last word, a moment before the usage, would have what doesn't show for nothing.
    goneDrainMs: () => goneReadOnMs(config, call, reader),
    onEnded: (why) => client.end(errorFrame(endedError(why))),
    start: (handler) => startStream(deps, call, handler),
    readWhole: (body) => readWhole(call, body),
    readError: (status, headers, body) => provider.readError(status, headers, body),
    readFailure: (error) => fromConnection(provider.label, error),
    onStart: (flow) => meter.begin(flow),
    onPassed: (flow) => meter.passed(flow),
    room: () => meter.room(),
    onFirstByte: () => {
      call.timing.firstByteAt ??= performance.now()
      call.timing.upstreamMs = call.timing.firstByteAt - call.timing.upstreamStartedAt
    },
  }).finally(() => meter.end())
  call.timing.upstreamMs = performance.now() - call.timing.upstreamStartedAt
  return end
}

/** Nothing was delivered: nothing is charged. */
async function giveUp(deps: ChatDependencies, call: Call, client: ClientStream, error: Failure): Promise<Ending> {
  await releaseCall(deps, call, 'failed', failureOf(error))
  logCall(deps, call, { outcome: 'failed', error })
  return refusal(client, toCallerError(error))
}

/** JSON where a stream was asked for: an error, or an answer that nobody can be shown as a stream and that was paid for. */
function readWhole(call: Call, body: Buffer): ProviderError | null {
  const { provider } = call.candidate
  const read = provider.chat.readAnswer(body, answerContext(call))
  if (read === null || 'kind' in read) return read
  const error = fromConnection(provider.label, new Error('a whole answer where a stream was asked for'))
  return isPaid(read.reading) ? { ...error, consumed: read.reading } : error
}

function outcomeOf(end: RelayEnd): Outcome {
  if (end.kind === 'done') return 'answered'
  if (end.kind === 'ended') return 'stopped'
  return end.kind === 'failed' ? 'cut_off' : end.kind
}

function lastFrames(call: Call, end: RelayEnd, error: TollgateError | null, reader: StreamReader, bill: Bill): Buffer {
  const frames: Buffer[] = []
  if (end.kind === 'stopped') frames.push(end.frames)
  if (error !== null) frames.push(errorFrame(error))
  if (bill.booking.state === 'pending') frames.push(PENDING_COMMENT)
  if (error === null) {
    if (call.request.includeUsage)
      frames.push(reader.usageFrame(shownCost(call, bill), openAiShape(bill.usage), !bill.asStated))
    frames.push(DONE_FRAME)
  }
  return Buffer.concat(frames)
}
