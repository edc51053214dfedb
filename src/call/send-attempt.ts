/** Sends an attempt to where its candidate points: the provider over the network, or the mock in this process. */
import type { ProviderError } from '../../providers/provider.ts'
import type { Attempt } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { OutgoingRequest, ReadContext } from './endpoint.ts'
import { leaseLost, noConnection } from './provider-failure.ts'
import {
  callWhole,
  type UpstreamControl,
  type UpstreamHandler,
  type UpstreamTimeouts,
  type WholeResponse,
} from './upstream.ts'

const MOCK_HEAD = { 'content-type': 'application/json' }

/** An attempt that was made, or why it was not: nothing went out then. */
export type Sent<Result> = { result: Result } | { error: ProviderError }

/** Makes an attempt on a connection to its provider, where one is free in time and the hold still stands by then. */
export async function onConnection<Result>(
  {
    network,
    observe,
  }: {
    network: Pick<CallDependencies['network'], 'connections'>
    observe: Pick<CallDependencies['observe'], 'metrics'>
  },
  { call, candidate }: Attempt,
  send: () => Promise<Result>,
): Promise<Sent<Result>> {
  const { deployment, terms } = candidate
  if (terms.mock !== null) return { result: await send() }
  const { label } = terms.provider
  const host = deployment.apiBase === null ? label : new URL(deployment.apiBase).host
  const giveBack = await network.connections.take(host, call.caller.organizationId, call.exchange.onDisconnect)
  if (giveBack === null) {
    observe.metrics.refused('provider_connections')
    return { error: noConnection(label) }
  }
  try {
    if (!call.hold.covers()) return { error: leaseLost() }
    return { result: await send() }
  } finally {
    giveBack()
  }
}

type Deps = Pick<CallDependencies, 'config' | 'network' | 'shutdown'>

/** The whole response of a non-streaming call. @throws as undici does. */
export async function fetchWhole(deps: Deps, attempt: Attempt): Promise<WholeResponse> {
  const mock = mockOf(attempt)
  if (mock !== null) return { status: 200, headers: MOCK_HEAD, body: mock.whole }
  return callWhole(deps.network.upstream, prepare(attempt), timeoutsOf(deps, attempt), deps.shutdown)
}

/** Starts a streaming call. */
export function startStream(deps: Deps, attempt: Attempt, handler: UpstreamHandler): UpstreamControl {
  const mock = mockOf(attempt)
  if (mock !== null) return playMock(mock.frames, handler)
  return deps.network.upstream.call(prepare(attempt), timeoutsOf(deps, attempt), handler)
}

function prepare({ candidate, appliedCap, asksUsage }: Attempt): OutgoingRequest {
  const { deployment, terms, apiKey, payer, quote } = candidate
  const { organization, extraHeaders } = deployment
  return terms.prepare({
    apiKey,
    organization: payer.namesOperatorAccount ? organization : null,
    extraHeaders: payer.namesOperatorAccount ? extraHeaders : withoutAccount(extraHeaders),
    outputCap: appliedCap,
    maxPrice: payer.isCharged ? quote.maxPrice : null,
    asksUsage,
  })
}

const ACCOUNT_HEADER = /auth|key|token|secret|cookie|session|organi[sz]ation|project|account|workspace|user/i

/** The operator's account does not go with the caller's key: neither would pay for the other. */
function withoutAccount(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !ACCOUNT_HEADER.test(name)))
}

/** What a response to an attempt is read with. */
export function readContext({ call, candidate }: Attempt): ReadContext {
  return { callId: call.exchange.callId, created: Math.floor(candidate.at.getTime() / 1000) }
}

function timeoutsOf({ config }: Deps, { call, candidate }: Attempt): UpstreamTimeouts {
  const { timeoutMs, streamTimeoutMs } = candidate.deployment
  const own = call.request.stream ? (streamTimeoutMs ?? timeoutMs) : timeoutMs
  return {
    headMs: own ?? config.requestTimeoutMs,
    idleMs: Math.min(own ?? Number.POSITIVE_INFINITY, config.limits.idleTimeoutMs),
  }
}

function mockOf(attempt: Attempt): { whole: Buffer; frames: readonly Buffer[] } | null {
  const { mock } = attempt.candidate.terms
  return mock?.({ ...readContext(attempt), outputCap: attempt.appliedCap }) ?? null
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
