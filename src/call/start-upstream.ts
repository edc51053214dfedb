/** Sends a call to where its candidate points: the provider over the network, or the mock in this process. */
import { type MockCall, mockAnswer, mockFrames } from '../../providers/mock.ts'
import type { AnswerContext, ProviderError, UpstreamRequest } from '../../providers/provider.ts'
import type { Call } from './call.ts'
import type { ChatDependencies } from './chat.ts'
import { isOwn } from './choose-key.ts'
import { leaseLost, noConnection } from './provider-failure.ts'
import {
  callWhole,
  type UpstreamControl,
  type UpstreamHandler,
  type UpstreamTimeouts,
  type WholeAnswer,
} from './upstream.ts'
import { asksForUsage } from './usage-question.ts'

const MOCK_HEAD = { 'content-type': 'application/json' }

/** An attempt that was made, or why it was not: nothing went out then. */
export type Attempted<Result> = { made: true; result: Result } | { made: false; error: ProviderError }

/** Makes an attempt on a connection to its provider, where one is free in time and the hold still stands by then. */
export async function onConnection<Result>(
  deps: Pick<ChatDependencies, 'connections' | 'ledger' | 'metrics'>,
  call: Pick<Call, 'caller' | 'exchange' | 'hold' | 'candidate'>,
  attempt: () => Promise<Result>,
): Promise<Attempted<Result>> {
  const { deployment, provider } = call.candidate
  if (deployment.mockResponse !== null) return { made: true, result: await attempt() }
  const host = deployment.apiBase === null ? provider.label : new URL(deployment.apiBase).host
  const giveBack = await deps.connections.take(host, call.caller.organizationId, call.exchange.onDisconnect)
  if (giveBack === null) {
    deps.metrics.refused('provider_connections')
    return { made: false, error: noConnection(provider.label) }
  }
  try {
    if (!deps.ledger.covers(call.hold)) return { made: false, error: leaseLost() }
    return { made: true, result: await attempt() }
  } finally {
    giveBack()
  }
}

/** The whole answer of a non-streaming call. @throws as undici does. */
export async function fetchWhole(deps: ChatDependencies, call: Call): Promise<WholeAnswer> {
  const text = call.candidate.deployment.mockResponse
  if (text !== null) return { status: 200, headers: MOCK_HEAD, body: mockAnswer(mockCall(deps, call, text)) }
  return callWhole(deps.upstream, prepare(deps, call), timeoutsOf(deps, call), deps.shutdown)
}

/** Starts a streaming call. */
export function startStream(deps: ChatDependencies, call: Call, handler: UpstreamHandler): UpstreamControl {
  const text = call.candidate.deployment.mockResponse
  if (text !== null) return playMock(mockFrames(mockCall(deps, call, text)), handler)
  return deps.upstream.call(prepare(deps, call), timeoutsOf(deps, call), handler)
}

function prepare(deps: ChatDependencies, call: Call): UpstreamRequest {
  const { deployment, provider, key } = call.candidate
  const own = isOwn(key)
  return provider.chat.prepare({
    request: call.request,
    model: deployment.upstreamModel,
    apiKey: key.apiKey,
    apiBase: deployment.apiBase,
    organization: own ? null : deployment.organization,
    extraHeaders: own ? withoutAccount(deployment.extraHeaders) : deployment.extraHeaders,
    defaults: deployment.defaults,
    outputCap: call.appliedCap,
    drop: call.candidate.drop,
    dropAt: call.candidate.dropAt,
    maxPrice: own ? null : call.candidate.quote.maxPrice,
    askUsage: asksForUsage(deps.streamOptionsUnsupported, call),
  })
}

const ACCOUNT_HEADER = /auth|key|token|secret|cookie|session|organi[sz]ation|project|account|workspace|user/i

/** The operator's account does not go with the caller's key: neither would pay for the other. */
function withoutAccount(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !ACCOUNT_HEADER.test(name)))
}

/** What an answer to a call is read with. */
export function answerContext(call: Call): AnswerContext {
  const { deployment, choices, at } = call.candidate
  return {
    request: call.request,
    model: deployment.upstreamModel,
    choices,
    callId: call.exchange.callId,
    created: Math.floor(at.getTime() / 1000),
  }
}

function timeoutsOf(deps: ChatDependencies, call: Call): UpstreamTimeouts {
  const { timeoutMs, streamTimeoutMs } = call.candidate.deployment
  const own = call.request.stream ? (streamTimeoutMs ?? timeoutMs) : timeoutMs
  return {
    headMs: own ?? deps.config.requestTimeoutMs,
    idleMs: Math.min(own ?? Number.POSITIVE_INFINITY, deps.config.limits.idleTimeoutMs),
  }
}

function mockCall(deps: ChatDependencies, call: Call, text: string): MockCall {
  return {
    callId: call.exchange.callId,
    model: call.request.model,
    created: Math.floor(deps.now().getTime() / 1000),
    text,
    inputTokens: call.candidate.estimate.tokens + call.candidate.estimate.expected.media,
    choices: call.candidate.choices,
    outputCap: call.appliedCap ?? call.request.outputCap,
  }
}

/** Frame by frame, as a network would bring them, honouring pauses. */
function playMock(frames: readonly Buffer[], handler: UpstreamHandler): UpstreamControl {
  let next = 0
  let paused = false
  let aborted = false
  const step = (): void => {
    if (paused || aborted) return
    if (next === 0) handler.onHead(200, MOCK_HEAD)
    const frame = frames[next]
    next += 1
    if (frame === undefined) {
      handler.onEnd()
      return
    }
    handler.onData(frame)
    setImmediate(step)
  }
  setImmediate(step)
  return {
    sent: true,
    pause: () => {
      paused = true
    },
    resume: () => {
      paused = false
      setImmediate(step)
    },
    abort: () => {
      aborted = true
    },
  }
}
