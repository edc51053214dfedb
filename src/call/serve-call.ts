/**
 * The life of one metered call, whatever its endpoint:
 *
 *   identify -> read the request -> route -> quote -> hold -> attempt -> relay and meter -> charge -> settle -> respond
 *
 * Whatever happens after the hold, the call ends as settled or released, exactly once. The Idempotency-Key is claimed after the hold
 * and closed here and nowhere else, by what was charged, before the caller sees the end.
 */
import { rateHeaders } from '../admission/rate-limits.ts'
import { TollgateError } from '../http/errors.ts'
import type { Exchange } from '../http/exchange.ts'
import { type KeyState, replay } from '../idempotency/idempotency.ts'
import type { Caller } from '../identity/caller.ts'
import { requirePermission } from '../identity/permissions.ts'
import { admit } from './admit.ts'
import { type Admitted, firstAttempt } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { claimKey, idempotencyKeyOf } from './claim-key.ts'
import type { Endpoint, EndpointRequest } from './endpoint.ts'
import { fetchRemote } from './fetch-remote.ts'
import type { Ending } from './paid-error.ts'
import { releaseCall } from './settle-call.ts'
import { streamResponse } from './stream-response.ts'
import { wholeResponse } from './whole-response.ts'
import { withRequest } from './with-request.ts'

/** Responds on the exchange. @throws {TollgateError} as long as nothing was sent. */
export async function serveCall(deps: CallDependencies, endpoint: Endpoint, exchange: Exchange): Promise<void> {
  const { identify, rates } = deps.admission
  const caller = await identify(exchange.incoming)
  requirePermission(caller, 'llm:inference')
  const rate = await rates.call(caller)
  // Not among the headers of the response: an Idempotency-Key repeats those.
  if (rate !== null)
    for (const [name, value] of Object.entries(rateHeaders(rate))) exchange.outgoing.setHeader(name, value)
  await withRequest(exchange, { deps, endpoint, caller }, (request) =>
    serveOnce(deps, endpoint, exchange, caller, request),
  )
}

/** What an Idempotency-Key repeats is not called again. */
async function serveOnce(
  deps: CallDependencies,
  endpoint: Endpoint,
  exchange: Exchange,
  caller: Caller,
  request: EndpointRequest,
): Promise<void> {
  const key = idempotencyKeyOf(deps, endpoint, exchange, caller, request)
  const earlier = (await key?.find()) ?? null
  if (earlier !== null) return replay(exchange, earlier)
  const call = await admit(deps, endpoint, exchange, caller, request)
  const meanwhile = key === null ? null : await claimKey(deps, call, key)
  if (meanwhile !== null) return replay(exchange, meanwhile)
  let state: KeyState = 'released'
  let ending: Ending
  try {
    ending = await respond(deps, call)
    state = ending.key
  } finally {
    await key?.close(state)
  }
  ending.send()
}

/** What is fetched stays in memory until the call is over. A failure nobody foresaw must not leave a hold behind. */
async function respond(deps: CallDependencies, admitted: Admitted): Promise<Ending> {
  const { call, forget } = await fetchRemote(deps, admitted)
  try {
    return await (call.request.stream ? streamResponse(deps, call) : wholeResponse(deps, call))
  } catch (error) {
    if (!(error instanceof TollgateError))
      await releaseCall(deps, firstAttempt(call, false), 'failed', { error: 'internal' })
    throw error
  } finally {
    forget()
  }
}
