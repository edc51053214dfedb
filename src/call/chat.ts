/**
 * One chat completion, from request to settled answer:
 *
 *   identify -> read the request -> route -> quote -> hold -> call -> relay and meter -> charge -> settle -> answer
 *
 * Whatever happens after the hold, the call ends as settled or released, exactly once. The Idempotency-Key is claimed after the hold
 * and closed here and nowhere else, by what was charged, before the caller sees the end.
 */
import type { ChatRequest } from '../../providers/provider.ts'
import { chatProviderOf } from '../../providers/registry.ts'
import type { Bodies } from '../admission/bodies.ts'
import type { FetchBudget, Fetching } from '../admission/fetch-budget.ts'
import type { ProviderConnections } from '../admission/provider-connections.ts'
import type { RunningCalls } from '../admission/running-calls.ts'
import type { Config } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import type { AddressGuard } from '../http/address-guard.ts'
import { TollgateError } from '../http/errors.ts'
import {
  type IdempotencyKey,
  type KeyState,
  openIdempotencyKey,
  replay,
  type StoredAnswer,
} from '../idempotency/idempotency.ts'
import type { Caller } from '../identity/caller.ts'
import type { Identify } from '../identity/identify.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { Route, Router } from '../routing/route.ts'
import type { Vault } from '../vault/vault.ts'
import { answerJson } from './answer-json.ts'
import { answerStream } from './answer-stream.ts'
import type { Call } from './call.ts'
import { type Candidate, type CandidateContext, makeCandidate, powerLevelOf } from './candidate.ts'
import { chooseKeys, isOwn, type KeysFor } from './choose-key.ts'
import { type Ending, paidError } from './ending.ts'
import type { Exchange } from './exchange.ts'
import { namesMedia } from './fetch-media.ts'
import { holdFetched, type ToFetch } from './hold-fetched.ts'
import { capFor, heldInput, placeHold } from './place-hold.ts'
import { readRequest } from './read-request.ts'
import { releaseCall, type SettleDependencies } from './settle-call.ts'
import type { Upstream } from './upstream.ts'
import type { StreamOptionsUnsupported } from './usage-question.ts'

export interface ChatDependencies extends SettleDependencies {
  config: Config
  database: Database
  router: Router
  identify: Identify
  runningCalls: RunningCalls
  bodies: Bodies
  vault: Vault
  upstream: Upstream
  connections: ProviderConnections
  fetchBudget: FetchBudget
  /** Judges addresses that callers name. */
  guard: AddressGuard
  metrics: Metrics
  random: () => number
  /** Deployments whose server was seen to reject `stream_options`: their streams are not asked for usage for a while. */
  streamOptionsUnsupported: StreamOptionsUnsupported
  /** Set when the process is going down: running streams are stopped and settled for what they delivered. */
  shutdown: AbortSignal
}

/** Answers on the exchange. @throws {TollgateError} as long as nothing was answered. */
export async function chat(deps: ChatDependencies, exchange: Exchange): Promise<void> {
  const caller = await deps.identify(exchange.incoming)
  const leave = deps.runningCalls.enter(caller)
  try {
    await readAndAnswer(deps, exchange, caller)
  } finally {
    leave()
  }
}

async function readAndAnswer(deps: ChatDependencies, exchange: Exchange, caller: Caller): Promise<void> {
  const { request, release } = await readRequest(exchange.incoming, caller, deps.bodies, deps.config.limits.bodyValues)
  try {
    await answer(deps, exchange, caller, request)
  } finally {
    release()
  }
}

async function answer(deps: ChatDependencies, exchange: Exchange, caller: Caller, sent: ChatRequest): Promise<void> {
  const key = keyOf(deps, exchange, caller, sent)
  const before = (await key?.find()) ?? null
  if (before !== null) return replay(exchange, before)
  const { call, candidates, toFetch } = await quoteAndHold(deps, exchange, caller, sent)
  const meanwhile = key === null ? null : await claim(deps, call, key)
  if (meanwhile !== null) return replay(exchange, meanwhile)
  let state: KeyState = 'released'
  let ending: Ending
  try {
    ending = toFetch === null ? await serve(deps, call, candidates) : await serveFetched(deps, call, toFetch)
    state = ending.key
  } finally {
    await key?.close(state)
  }
  ending.send()
}

interface Quoted {
  call: Call
  candidates: readonly Candidate[]
  /** Null where the request goes out as it is. */
  toFetch: ToFetch | null
}

/** @throws {TollgateError} where nothing was held. */
async function quoteAndHold(
  deps: ChatDependencies,
  exchange: Exchange,
  caller: Caller,
  request: ChatRequest,
): Promise<Quoted> {
  const route = findRoute(deps.router, request.model)
  const mustFetch = mustInline(route)
  const isFetched = mustFetch !== null && namesMedia(request, mustFetch)
  const keys = chooseKeys(deps.vault, caller, route.deployments)
  const keysFor = keys instanceof Promise ? await keys : keys
  const deployments = shuffle(route.deployments, deps.random)
  const powerLevel = powerLevelOf(exchange.headers['x-power-level'], request.json.power_level)
  const { config, prices, usualTiers } = deps
  const context = { config, prices, usualTiers, caller, powerLevel, at: deps.now() }
  const make = (request: ChatRequest) => makeCandidates(deployments, keysFor, { ...context, request })
  const candidates = make(request)
  const call = await admit(deps, exchange, caller, request, route, candidates)
  return { call, candidates, toFetch: isFetched ? { mustFetch, remake: make } : null }
}

/** What is fetched stays in memory until the call is over. */
async function serveFetched(deps: ChatDependencies, call: Call, toFetch: ToFetch): Promise<Ending> {
  const fetching = await openFetching(deps, call)
  try {
    return await serve(deps, call, await holdFetched(deps, call, toFetch, fetching))
  } finally {
    fetching.release()
  }
}

/** @throws {TollgateError} once the hold is released. */
async function openFetching(deps: ChatDependencies, call: Call): Promise<Fetching> {
  try {
    return deps.fetchBudget.open(call.caller.organizationId)
  } catch (error) {
    await releaseCall(deps, call, 'failed', { error: error instanceof TollgateError ? error.code : 'internal' })
    throw error
  }
}

/** After the hold, so that a call that is refused leaves no key. Where the key is taken by then, the call is not made. */
async function claim(deps: ChatDependencies, call: Call, key: IdempotencyKey): Promise<StoredAnswer | null> {
  try {
    const meanwhile = await key.claim()
    if (meanwhile !== null) await releaseCall(deps, call, 'failed', { error: 'idempotency_key_in_use' })
    return meanwhile
  } catch (error) {
    await releaseCall(deps, call, 'failed', { error: error instanceof TollgateError ? error.code : 'internal' })
    throw error
  }
}

/** Whether one of those who may serve the call would not fetch what a URL names; null where all would fetch anything. */
function mustInline({ deployments }: Route): ((url: string) => boolean) | null {
  const judges = deployments.flatMap(({ provider, mockResponse }) =>
    mockResponse === null ? (chatProviderOf(provider).chat.mustInline ?? []) : [],
  )
  return judges.length === 0 ? null : (url) => judges.some((mustFetch) => mustFetch(url))
}

/** A failure nobody foresaw must not leave a hold behind, nor make a caller pay twice for a call that was charged before it. */
async function serve(deps: ChatDependencies, call: Call, candidates: readonly Candidate[]): Promise<Ending> {
  try {
    return await (call.request.stream ? answerStream(deps, call, candidates) : answerJson(deps, call, candidates))
  } catch (error) {
    if (call.bill !== null) return paidError(call, call.bill, error)
    if (!(error instanceof TollgateError)) await releaseCall(deps, call, 'failed', { error: 'internal' })
    throw error
  }
}

/** @throws {TollgateError} 400. */
function keyOf(
  deps: ChatDependencies,
  exchange: Exchange,
  caller: Caller,
  request: ChatRequest,
): IdempotencyKey | null {
  const key = exchange.headers['idempotency-key']
  if (typeof key !== 'string') return null
  // The one header that changes the price. What it says in other words than the body, or beside it, is another request.
  const ofBody = powerLevelOf(undefined, request.json.power_level)
  const level = powerLevelOf(exchange.headers['x-power-level'], request.json.power_level)
  const variant = level === ofBody ? '' : level
  return openIdempotencyKey(deps, caller, key, { body: request.text, variant }, exchange.callId)
}

/** @throws {TollgateError} 404. */
export function findRoute(router: Router, model: string): Route {
  const route = router.route(model)
  if (route !== null) return route
  const shown = JSON.stringify(model.slice(0, 100))
  throw new TollgateError(
    404,
    'model_not_found',
    `The model ${shown} does not exist here. GET /v1/models lists what there is.`,
    { param: 'model' },
  )
}

/**
 * One candidate for each deployment that can serve the call and each key that can pay for it, in the order to try them: the caller's
 * own keys first. @throws the first one's error if there is none.
 */
function makeCandidates(deployments: Route['deployments'], keysFor: KeysFor, context: CandidateContext): Candidate[] {
  const errors: unknown[] = []
  const tried = <T>(make: () => readonly T[]): readonly T[] => {
    try {
      return make()
    } catch (error) {
      errors.push(error)
      return []
    }
  }
  const candidates = deployments.flatMap((deployment) =>
    tried(() => keysFor(deployment)).flatMap((key) => tried(() => [makeCandidate(deployment, key, context)])),
  )
  if (candidates.length === 0) throw errors[0]
  return [...candidates.filter(({ key }) => isOwn(key)), ...candidates.filter(({ key }) => !isOwn(key))]
}

async function admit(
  deps: ChatDependencies,
  exchange: Exchange,
  caller: Caller,
  request: ChatRequest,
  route: Route,
  candidates: readonly Candidate[],
): Promise<Call> {
  const candidate = candidates[0]!
  const { modelGroup } = route
  const hold = await placeHold(deps.ledger, { exchange, caller, modelGroup }, candidate)
  const granted = { candidate, held: hold.held, ...heldInput(hold, candidate) }
  const call: Call = {
    ...granted,
    exchange,
    caller,
    request,
    modelGroup,
    hold,
    appliedCap: capFor(granted),
    streamOptionsUnsupportedId: null,
    retries: 0,
    fallbacks: 0,
    timing: { upstreamStartedAt: 0, firstByteAt: null, upstreamMs: 0 },
    bill: null,
  }
  if (!exchange.clientDisconnected) return call
  await releaseCall(deps, call, 'client_disconnected', { error: 'client_disconnected' })
  throw new TollgateError(499, 'client_disconnected', 'The caller left before the call was made.')
}

/** Deployments of a group share its calls: by weight where weights are set. */
function shuffle<T extends { weight: number | null }>(deployments: readonly T[], random: () => number): T[] {
  if (deployments.length === 1) return [...deployments]
  return deployments
    .map((deployment) => ({ deployment, rank: random() ** (1 / Math.max(deployment.weight ?? 1, 1e-9)) }))
    .sort((a, b) => b.rank - a.rank)
    .map(({ deployment }) => deployment)
}
