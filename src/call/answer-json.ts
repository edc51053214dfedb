/** A non-streaming call: made, finished and charged even when the caller has left, settled before the answer goes out. */
import { type Answer, isPaid, type ProviderError, type Reading } from '../../providers/provider.ts'
import { openAiShape } from '../../providers/usage.ts'
import { billHeaders, shownCost } from './answer-headers.ts'
import { attemptsOf, tryCandidates } from './attempts.ts'
import type { Call } from './call.ts'
import { logCall } from './call-log.ts'
import type { Candidate } from './candidate.ts'
import type { ChatDependencies } from './chat.ts'
import { isOwn } from './choose-key.ts'
import { dispatched } from './delivered.ts'
import { type Ending, paidError } from './ending.ts'
import { failureWith, fromConnection, toCallerError } from './provider-failure.ts'
import { failureOf, releaseCall, type Served, settleCall } from './settle-call.ts'
import { answerContext, fetchWhole, onConnection } from './start-upstream.ts'
import { isAnswer } from './upstream.ts'

export async function answerJson(
  deps: ChatDependencies,
  call: Call,
  candidates: readonly Candidate[],
): Promise<Ending> {
  let answer: Answer | null = null
  let paid: (ProviderError & { consumed: Reading }) | null = null
  const failure = await tryCandidates(attemptsOf(deps), call, candidates, async () => {
    const attempted = await onConnection(deps, call, () => attempt(deps, call))
    if (!attempted.made) return attempted.error
    const { result } = attempted
    if (!('kind' in result)) answer = result
    else if (result.consumed === undefined || isOwn(call.candidate.key)) return result
    else paid = { ...result, consumed: result.consumed }
    return null
  })
  if (paid !== null) return failPaid(deps, call, paid)
  if (failure !== null || answer === null) {
    const error = failure!
    await releaseCall(deps, call, 'failed', failureOf(error))
    logCall(deps, call, { outcome: 'failed', error })
    throw toCallerError(error)
  }
  return respond(deps, call, answer)
}

/** It failed and was paid for: charged like any other, and not tried again. */
async function failPaid(
  deps: ChatDependencies,
  call: Call,
  said: ProviderError & { consumed: Reading },
): Promise<Ending> {
  const bill = await settleCall(deps, call, paidNothing(said.consumed))
  const error = failureWith(call.candidate, said)
  logCall(deps, call, { outcome: 'cut_off', bill, error })
  return paidError(call, bill, toCallerError(error))
}

/** What a failure served that states what it used, and delivered nothing. */
export function paidNothing(reading: Reading): Served {
  const nothing = () => ''
  return {
    reading,
    isFinal: true,
    hasContent: false,
    finishReasons: [],
    outputText: nothing,
    shownText: nothing,
    outcome: 'cut_off',
  }
}

async function attempt(deps: ChatDependencies, call: Call): Promise<Answer | ProviderError> {
  const { provider } = call.candidate
  call.timing.upstreamStartedAt = performance.now()
  try {
    const answer = fetchWhole(deps, call)
    deps.ledger.checkpoint(call.exchange.callId, call.caller.organizationId, dispatched(call))
    const { status, headers, body } = await answer
    if (!isAnswer(status)) return provider.readError(status, headers, body)
    return provider.chat.readAnswer(body, answerContext(call)) ?? noAnswer(call, body)
  } catch (error) {
    return fromConnection(provider.label, error as Error)
  } finally {
    call.timing.upstreamMs += performance.now() - call.timing.upstreamStartedAt
  }
}

/** A body that is no chat completion; where it is a stream nobody asked for, it may say what it cost all the same. */
function noAnswer(call: Call, body: Buffer): ProviderError {
  const { provider } = call.candidate
  const error = fromConnection(provider.label, new Error('the answer is not a chat completion'))
  const consumed = streamedUsage(call, body)
  return consumed !== null && isPaid(consumed) ? { ...error, consumed } : error
}

function streamedUsage(call: Call, body: Buffer): Reading | null {
  const reader = call.candidate.provider.chat.readStream(answerContext(call))
  try {
    const { done } = reader.push(body)
    if (!done) reader.end()
    return reader.isFinal ? reader.reading : null
  } catch {
    // One line larger than any frame: no stream either.
    return null
  }
}

async function respond(deps: ChatDependencies, call: Call, answer: Answer): Promise<Ending> {
  const { exchange } = call
  const outcome = exchange.clientDisconnected ? 'client_disconnected' : 'answered'
  const bill = await settleCall(deps, call, { ...answer, isFinal: true, outcome })
  const headers = { 'content-type': 'application/json; charset=utf-8', ...billHeaders(call, bill) }
  const body = answer.body(shownCost(call, bill), openAiShape(bill.usage), !bill.asStated)
  logCall(deps, call, { outcome, bill })
  return {
    key: { status: 200, headers, body },
    send() {
      if (exchange.clientDisconnected) return
      exchange.outgoing.writeHead(200, { ...headers, 'content-length': body.length })
      exchange.outgoing.end(body)
    },
  }
}
