/** A non-streaming call: made, finished and charged even when the caller has left, settled before the answer goes out. */
import { type Answer, emptyReading, type ProviderError } from '../../providers/provider.ts'
import { openAiShape } from '../metering/usage.ts'
import { billHeaders, shownCost } from './answer-headers.ts'
import { attemptsOf, tryOffers } from './attempts.ts'
import type { Call } from './call.ts'
import { logCall } from './call-log.ts'
import type { ChatDependencies } from './chat.ts'
import { isOwn } from './choose-key.ts'
import { dispatched } from './delivered.ts'
import type { Claim } from './idempotency.ts'
import type { Offer } from './offer.ts'
import { fromConnection, toCallerError } from './provider-failure.ts'
import { failureOf, releaseCall, settleCall } from './settle-call.ts'
import { answerContext, fetchWhole } from './start-upstream.ts'

export async function answerJson(
  deps: ChatDependencies,
  call: Call,
  offers: readonly Offer[],
  claim: Claim | null,
): Promise<void> {
  let answer: Answer | null = null
  let paid: ProviderError | null = null
  const failure = await tryOffers(attemptsOf(deps), call, offers, async () => {
    const result = await attempt(deps, call)
    if (!('kind' in result)) answer = result
    else if (result.consumed === undefined || isOwn(call.offer.key)) return result
    else paid = result
    return null
  })
  if (paid !== null) return failPaid(deps, call, paid)
  if (failure !== null || answer === null) {
    const error = failure!
    await releaseCall(deps, call, 'failed', failureOf(error))
    logCall(deps, call, { outcome: 'failed', error })
    throw toCallerError(error)
  }
  await send(deps, call, answer, claim)
}

/** It failed and was paid for: charged like any other, and not tried again. */
async function failPaid(deps: ChatDependencies, call: Call, error: ProviderError): Promise<never> {
  const reading = error.consumed ?? emptyReading()
  const bill = await settleCall(deps, call, { reading, finishReasons: [], outputText: () => '', outcome: 'cut_off' })
  logCall(deps, call, { outcome: 'cut_off', bill, error })
  throw toCallerError(error)
}

async function attempt(deps: ChatDependencies, call: Call): Promise<Answer | ProviderError> {
  const { provider } = call.offer
  call.timing.upstreamStartedAt = performance.now()
  try {
    const answer = fetchWhole(deps, call)
    deps.ledger.checkpoint(call.exchange.callId, call.caller.organizationId, dispatched(call))
    const { status, headers, body } = await answer
    if (status !== 200) return provider.readError(status, headers, body)
    const read = provider.readAnswer(body, answerContext(call))
    return read ?? fromConnection(provider.label, new Error('the answer is not a chat completion'))
  } catch (error) {
    return fromConnection(provider.label, error as Error)
  } finally {
    call.timing.upstreamMs += performance.now() - call.timing.upstreamStartedAt
  }
}

async function send(deps: ChatDependencies, call: Call, answer: Answer, claim: Claim | null): Promise<void> {
  const { exchange } = call
  const outcome = exchange.gone ? 'client_gone' : 'answered'
  const bill = await settleCall(deps, call, { ...answer, outcome })
  const headers = { 'content-type': 'application/json; charset=utf-8', ...billHeaders(call, bill) }
  const body = answer.body(shownCost(call, bill), openAiShape(bill.usage))
  await claim?.answered({ status: 200, headers, body })
  logCall(deps, call, { outcome, bill })
  if (exchange.gone) return
  exchange.outgoing.writeHead(200, { ...headers, 'content-length': body.length })
  exchange.outgoing.end(body)
  // A caller that does not read its answer is not waited for for ever.
  exchange.outgoing.setTimeout(deps.config.limits.clientStallSeconds * 1000, () => exchange.outgoing.destroy())
}
