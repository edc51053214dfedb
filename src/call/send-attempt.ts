/** Sends an attempt to its candidate: to the provider over the network, or to the mock in this process. */
import type { ProviderError } from '../../providers/provider.ts'
import { hashInSlices } from '../http/in-slices.ts'
import type { Attempt } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { attemptMs } from './deadline.ts'
import type { OutgoingRequest, ReadContext } from './endpoint.ts'
import { fromConnection, leaseLost, noConnection } from './provider-failure.ts'
import {
  callUntil,
  callWhole,
  type UpstreamControl,
  type UpstreamHandler,
  type UpstreamTimeouts,
  type WholeResponse,
} from './upstream.ts'

const MOCK_HEAD = { 'content-type': 'application/json' }

/** The result of an attempt, or the error for which it was not made: nothing went out then. */
export type Sent<Result> = { result: Result } | { error: ProviderError }

interface SendDependencies {
  network: Pick<CallDependencies['network'], 'connections' | 'tokens'>
  observe: Pick<CallDependencies['observe'], 'metrics'>
  clock: Pick<CallDependencies['clock'], 'now'>
}

/** Makes an attempt on a connection to its provider, if one is free in time and the hold is still valid by then. */
export async function onConnection<Result>(
  { network, observe, clock }: SendDependencies,
  attempt: Attempt,
  send: (request: OutgoingRequest | null) => Promise<Result>,
): Promise<Sent<Result>> {
  const { call, candidate } = attempt
  const { deployment, terms } = candidate
  if (terms.mock !== null) return { result: await send(null) }
  const { label } = terms.provider
  const host = deployment.apiBase === null ? label : new URL(deployment.apiBase).host
  const giveBack = await network.connections.take(host, call.caller.organizationId, call.exchange.onDisconnect)
  if (giveBack === null) {
    observe.metrics.refused('provider_connections')
    return { error: noConnection(label) }
  }
  try {
    const request = prepare(attempt)
    const signing = sign({ network, clock }, attempt, request)
    const signed = signing === null ? request : await signing
    if ('kind' in signed) return { error: signed }
    if (!call.hold.covers()) return { error: leaseLost() }
    return { result: await send(signed) }
  } finally {
    giveBack()
  }
}

/** Null where nothing is signed. A token may have to be asked for first. */
function sign(
  { network, clock }: Pick<SendDependencies, 'clock'> & { network: Pick<CallDependencies['network'], 'tokens'> },
  { candidate: { apiKey, deployment, terms } }: Attempt,
  request: OutgoingRequest,
): Promise<OutgoingRequest | ProviderError> | null {
  const { provider } = terms
  if (provider.sign === undefined || apiKey === null) return null
  const { apiBase } = deployment
  const unsigned = { ...request, hash: () => hashInSlices(request.body) }
  return provider
    .sign(unsigned, { credential: apiKey, apiBase, at: clock.now(), token: network.tokens })
    .then((headers) => ({ ...request, headers: { ...request.headers, ...headers } }))
    .catch((error: unknown) => fromConnection(provider.label, error as Error))
}

type Deps = Pick<CallDependencies, 'config' | 'network' | 'shutdown' | 'clock'>

/** The whole response of a non-streaming call. @param request null where a mock responds. @throws as undici does. */
export async function fetchWhole(
  deps: Deps,
  attempt: Attempt,
  request: OutgoingRequest | null,
): Promise<WholeResponse> {
  if (request === null) return { status: 200, headers: MOCK_HEAD, body: mockOf(attempt).whole }
  return callWhole(deps.network.upstream, request, timeoutsOf(deps, attempt), deps.shutdown)
}

/** Starts a streaming call. @param request null where a mock responds. */
export function startStream(
  deps: Deps,
  attempt: Attempt,
  request: OutgoingRequest | null,
  handler: UpstreamHandler,
): UpstreamControl {
  if (request === null) return playMock(mockOf(attempt).frames, handler)
  return callUntil(deps.network.upstream, request, timeoutsOf(deps, attempt), handler)
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

/** Removes headers that name the operator's account: with the caller's key, neither account pays for the other. */
function withoutAccount(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !ACCOUNT_HEADER.test(name)))
}

/** What the reader of a response needs to know about the attempt. */
export function readContext({ call, candidate }: Attempt): ReadContext {
  return { callId: call.exchange.callId, created: Math.floor(candidate.at.getTime() / 1000) }
}

function timeoutsOf({ config, clock }: Deps, attempt: Attempt): UpstreamTimeouts {
  const { call, candidate } = attempt
  const { timeoutMs, streamTimeoutMs } = candidate.deployment
  const own = call.request.stream ? (streamTimeoutMs ?? timeoutMs) : timeoutMs
  const now = clock.monotonic()
  return {
    headMs: attemptMs(config, attempt, now),
    idleMs: Math.min(own ?? Number.POSITIVE_INFINITY, config.limits.idleTimeoutMs),
    endMs: Math.max(1, call.deadline - now),
  }
}

function mockOf(attempt: Attempt): { whole: Buffer; frames: readonly Buffer[] } {
  const { mock } = attempt.candidate.terms
  if (mock === null) throw new Error('a provider is called')
  return mock({ ...readContext(attempt), outputCap: attempt.appliedCap })
}

/** Plays frames one by one, as a network would deliver them, and honours pauses. */
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
