/** Route, quote, hold: decides whether a call may be made, and how it can be served. */

import { boundsOfModel } from '../admission/caller-bounds.ts'
import type { PowerLevel } from '../config/config.ts'
import { TollgateError } from '../http/errors.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Caller } from '../identity/caller.ts'
import { aliasOf } from '../identity/restrictions.ts'
import { RUN_HEADER } from '../ledger/runs.ts'
import { byTags } from '../routing/by-tags.ts'
import { ownAccountFirst } from '../routing/next-candidate.ts'
import { orderCandidates } from '../routing/order-candidates.ts'
import type { Route, RoutedCandidate, Router } from '../routing/route.ts'
import { type Admitted, firstAttempt } from './admitted.ts'
import type { Agreed } from './agreed.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { placeHold } from './call-hold.ts'
import { type Candidate, type CandidateContext, makeCandidate } from './candidate.ts'
import { chooseKeys, type KeysFor, type PayingKey } from './choose-keys.ts'
import { deadlineOf } from './deadline.ts'
import type { Endpoint, EndpointRequest } from './endpoint.ts'
import { refuseTooMany } from './fetch-media.ts'
import { limitsOf } from './limits-of.ts'
import { namedFallbacks } from './named-fallbacks.ts'
import { powerLevelOf } from './power-level.ts'
import { QUOTE_HEADER } from './quotes.ts'
import type { AskedCall } from './read-request.ts'
import { releaseCall } from './settle-call.ts'

/** @throws {TollgateError} where nothing is held: 400, 402, 403, 404, 429, 503. */
export async function admit(
  deps: CallDependencies,
  endpoint: Endpoint,
  exchange: Exchange,
  caller: Caller,
  { request, session }: AskedCall,
): Promise<Admitted> {
  const agreed =
    exchange.headers[QUOTE_HEADER] === undefined
      ? null
      : await deps.quotes.open(exchange.headers, { caller, request, endpoint })
  const powerLevel = agreed?.powerLevel ?? powerLevelOf(exchange.headers['x-power-level'], request.powerLevel)
  const routed = routeCall(deps, caller, request, { powerLevel, agreed, at: deps.clock.now() })
  // Nothing is awaited where the vault has the keys in its cache.
  const way = routed instanceof Promise ? await routed : routed
  const { modelGroup, candidates } = way
  const counted = deps.admission.rates.ofModel(caller, modelGroup)
  if (counted !== null) await counted
  const { callId, callerRequestId } = exchange
  const { serviceType } = endpoint
  const isGone = () => exchange.clientDisconnected
  const run = exchange.headers[RUN_HEADER]
  const ofRun = typeof run === 'string' ? await deps.runs.limitsOf(caller, run) : []
  const limits = [...deps.admission.quotas.limitsOf(caller), ...ofRun]
  const held = { callId, caller, serviceType, modelGroup, callerRequestId, isGone, limits, session }
  const hold = await placeHold(deps.money.ledger, held, candidates[0]!).catch((error: unknown) => {
    deps.admission.refusedCalls.count(caller, error)
    throw error
  })
  deps.admission.quotas.tell(exchange, caller, hold.granted.quota)
  const deadline = deadlineOf(deps.config, exchange, request)
  const call: Admitted = { endpoint, exchange, caller, request, session, hold, deadline, ...way }
  if (!exchange.clientDisconnected) return call
  await releaseCall(deps, firstAttempt(call, false), 'client_disconnected', { error: 'client_disconnected' })
  throw new TollgateError(499, 'client_disconnected', 'The caller left before the call was made.')
}

/** The candidates that can serve a call, each with what it may cost. */
export interface RoutedCall extends Pick<Admitted, 'modelGroup' | 'candidates' | 'remote' | 'quote' | 'standIns'> {}

interface RoutingTerms {
  powerLevel: PowerLevel
  agreed: Agreed | null
  at: Date
}

/** Returns a promise only where a key has to be read first. @throws {TollgateError} 400, 403, 404, 503. */
export function routeCall(
  deps: CallDependencies,
  caller: Caller,
  request: EndpointRequest,
  terms: RoutingTerms,
): RoutedCall | Promise<RoutedCall> {
  const { router } = deps.routing
  const { modelGroup, candidates: routed } = findRoute(router, aliasOf(caller, request.model) ?? request.model)
  for (const name of namedFallbacks(request.asks))
    if (router.standIn(name) === null) throw noModel(router, name, 'fallbacks')
  const deployments = routed.map(({ deployment }) => deployment)
  const remote = request.remoteMedia(deployments)
  if (remote !== null) refuseTooMany(remote)
  const quoteOn = (those: readonly RoutedCandidate[]) => quoteFor(deps, caller, those, { ...terms, caller, request })
  const standIns = async (name: string, asked: EndpointRequest) => {
    const route = router.standIn(name)
    // What it would have to be sent in place of an address can't be fetched any more.
    if (route === null || !mayStandIn(caller, modelGroup, name)) return []
    if (asked.remoteMedia(route.candidates.map(({ deployment }) => deployment)) !== null) return []
    try {
      return (await quoteOn(route.candidates))(asked)
    } catch (error) {
      if (error instanceof TollgateError) return []
      throw error
    }
  }
  const routedBy = (quote: Admitted['quote']): RoutedCall => ({
    modelGroup,
    candidates: quote(request),
    remote,
    quote,
    standIns,
  })
  const quote = quoteOn(routed)
  return quote instanceof Promise ? quote.then(routedBy) : routedBy(quote)
}

/** A budget of that model alone is not held by this call, and its rates are not counted. */
function mayStandIn(caller: Caller, modelGroup: string, name: string): boolean {
  const bound = new Set(boundsOfCall(caller, modelGroup))
  return boundsOfCall(caller, name).every((one) => bound.has(one))
}

function boundsOfCall(caller: Caller, modelGroup: string): string[] {
  return [
    ...limitsOf(caller, modelGroup).map(({ id }) => id),
    ...boundsOfModel(caller, modelGroup).map(({ name }) => name),
  ]
}

/** What a request costs on deployments of one group, in the order to try them. @throws {TollgateError} 400, 403, 503. */
function quoteFor(
  deps: CallDependencies,
  caller: Caller,
  all: readonly RoutedCandidate[],
  terms: RoutingTerms & Pick<CandidateContext, 'caller' | 'request'>,
): Admitted['quote'] | Promise<Admitted['quote']> {
  const { config, routing } = deps
  const routed = byTags(all, terms.request.asks?.tags ?? [], config.routing)
  if (routed.length === 0) throw noneWithTag()
  const keys = chooseKeys(
    routing.vault,
    caller,
    routed.map(({ deployment }) => deployment),
  )
  const context = { ...contextOf(deps), ...terms }
  const quoteWith = (keysFor: KeysFor) => (request: EndpointRequest) => {
    const keyed = routed.map((one) => ({ ...one, keys: () => keysFor(one.deployment) }))
    const candidates = makeCandidates(keyed, { ...context, request })
    const ordered = orderCandidates(candidates, {
      settings: config.routing,
      standing: routing.traffic.standing,
      costOf: ({ quote, wanted }) => quote.input + quote.outputFor(wanted),
      stream: request.stream,
      random: routing.random,
    })
    return ownAccountFirst(ordered)
  }
  return keys instanceof Promise ? keys.then(quoteWith) : quoteWith(keys)
}

function noneWithTag(): TollgateError {
  return new TollgateError(
    400,
    'no_deployment_with_tag',
    "No deployment of this model has a tag of the request's, and none is the default. Send other tags, or ask the operator.",
    { param: 'tags' },
  )
}

/** @throws {TollgateError} 404. */
export function findRoute(router: Router, model: string): Route {
  const route = router.route(model)
  if (route !== null) return route
  throw noModel(router, model, 'model')
}

function noModel(router: Router, model: string, param: string): TollgateError {
  const why = router.whyNot(model)
  const what = why === null ? 'does not exist here' : `can't be served here: ${why}. Its operator can change that`
  const message = `The model ${JSON.stringify(model.slice(0, 100))} ${what}. GET /v1/models lists what there is.`
  return new TollgateError(404, 'model_not_found', message, { param })
}

function contextOf({
  config,
  money,
  learned,
}: CallDependencies): Pick<CandidateContext, 'config' | 'prices' | 'usualTiers'> {
  return { config, prices: money.prices, usualTiers: learned.usualTiers }
}

interface Keyed extends RoutedCandidate {
  /** @throws {TollgateError} 403, 503 where there is none. */
  keys: () => readonly PayingKey[]
}

/**
 * One candidate for each deployment that can serve the call and each key that can pay for it.
 * @throws the first one's error if there is none.
 */
function makeCandidates(routed: readonly Keyed[], context: CandidateContext): Candidate[] {
  const errors: unknown[] = []
  const tried = <T>(make: () => readonly T[]): readonly T[] => {
    try {
      return make()
    } catch (error) {
      errors.push(error)
      return []
    }
  }
  const candidates = routed.flatMap(({ keys, ...one }) =>
    tried(keys).flatMap((key) => tried(() => [makeCandidate(one, key, context)])),
  )
  if (candidates.length === 0) throw errors[0]
  return candidates
}
