/** Route, quote, hold: decides whether a call may be made, and how it can be served. */

import type { PowerLevel } from '../config/config.ts'
import { TollgateError } from '../http/errors.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Caller } from '../identity/caller.ts'
import { ownAccountFirst } from '../routing/next-candidate.ts'
import { orderCandidates } from '../routing/order-candidates.ts'
import type { Route, RoutedCandidate, Router } from '../routing/route.ts'
import { type Admitted, firstAttempt } from './admitted.ts'
import type { Agreed } from './agreed.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { placeHold } from './call-hold.ts'
import { type Candidate, type CandidateContext, makeCandidate } from './candidate.ts'
import { chooseKeys, type KeysFor, type PayingKey } from './choose-keys.ts'
import type { Endpoint, EndpointRequest } from './endpoint.ts'
import { refuseTooMany } from './fetch-media.ts'
import { powerLevelOf } from './power-level.ts'
import { QUOTE_HEADER } from './quotes.ts'
import { releaseCall } from './settle-call.ts'

/** @throws {TollgateError} where nothing is held: 400, 402, 403, 404, 429, 503. */
export async function admit(
  deps: CallDependencies,
  endpoint: Endpoint,
  exchange: Exchange,
  caller: Caller,
  request: EndpointRequest,
): Promise<Admitted> {
  const agreed =
    exchange.headers[QUOTE_HEADER] === undefined
      ? null
      : await deps.quotes.open(exchange.headers, { caller, request, endpoint })
  const powerLevel = agreed?.powerLevel ?? powerLevelOf(exchange.headers['x-power-level'], request.powerLevel)
  const routed = routeCall(deps, caller, request, { powerLevel, agreed, at: deps.clock.now() })
  // Nothing is awaited where the vault has the keys in its cache.
  const { modelGroup, remote, candidates, quote } = routed instanceof Promise ? await routed : routed
  const { callId, callerRequestId } = exchange
  const { serviceType } = endpoint
  const isGone = () => exchange.clientDisconnected
  const held = { callId, caller, serviceType, modelGroup, callerRequestId, isGone }
  const hold = await placeHold(deps.money.ledger, held, candidates[0]!)
  const call: Admitted = { endpoint, exchange, caller, request, modelGroup, hold, candidates, remote, quote }
  if (!exchange.clientDisconnected) return call
  await releaseCall(deps, firstAttempt(call, false), 'client_disconnected', { error: 'client_disconnected' })
  throw new TollgateError(499, 'client_disconnected', 'The caller left before the call was made.')
}

/** How a call can be served, and what it may cost. */
export interface RoutedCall extends Pick<Admitted, 'modelGroup' | 'candidates' | 'remote' | 'quote'> {}

/** A promise only where a key has to be read first. @throws {TollgateError} 400, 403, 404, 503. */
export function routeCall(
  deps: CallDependencies,
  caller: Caller,
  request: EndpointRequest,
  terms: { powerLevel: PowerLevel; agreed: Agreed | null; at: Date },
): RoutedCall | Promise<RoutedCall> {
  const { router, random } = deps.routing
  const { modelGroup, candidates: routed } = findRoute(router, request.model)
  const deployments = routed.map(({ deployment }) => deployment)
  const remote = request.remoteMedia(deployments)
  if (remote !== null) refuseTooMany(remote)
  const keys = chooseKeys(deps.routing.vault, caller, deployments)
  const context = { ...contextOf(deps), ...terms, caller }
  const withKeys = (keysFor: KeysFor): RoutedCall => {
    const ordered = orderCandidates(routed, random).map((one) => ({ ...one, keys: () => keysFor(one.deployment) }))
    const quote = (asked: EndpointRequest) => makeCandidates(ordered, { ...context, request: asked })
    return { modelGroup, candidates: quote(request), remote, quote }
  }
  return keys instanceof Promise ? keys.then(withKeys) : withKeys(keys)
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
 * One candidate for each deployment that can serve the call and each key that can pay for it, in the order to try them.
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
  return ownAccountFirst(candidates)
}
