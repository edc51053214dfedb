/**
 * The life of one metered call, whatever its endpoint:
 *
 *   identify -> read the request -> route -> quote -> hold -> attempt -> relay and meter -> charge -> settle -> respond
 *
 * Where to read each step, in the order in which a streamed call passes through it:
 *
 *   1. with-request.ts     counts the running call, reads the body, and lets the endpoint parse it
 *   2. admit.ts            asks the router for deployments (routeCall), prices each with each key that may pay (candidate.ts,
 *                          choose-keys.ts), and holds the worst case of the first (call-hold.ts)
 *   3. stream-response.ts  makes attempts until one succeeds (try-candidates.ts), then settles; whole-response.ts without a stream
 *   4. send-attempt.ts     sends one attempt over a connection to the provider (upstream.ts)
 *   5. relay-stream.ts     passes bytes from the provider to the caller (client-stream.ts), through the endpoint's reader
 *   6. stream-meter.ts     counts what passed, notes it in the ledger every two seconds, extends the hold (stream-growth.ts)
 *   7. settle-call.ts      measures the usage (measure-usage.ts), prices it (price-statement.ts), and books the charge
 *   8. stream-response.ts  sends the last frames once the charge is booked
 *
 * Whatever happens after the hold, the call ends as settled or released, exactly once. Only this file closes the Idempotency-Key: it
 * claims the key after the hold and closes it with the result of the charge, before the caller sees the end.
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
import type { Endpoint } from './endpoint.ts'
import { fetchRemote } from './fetch-remote.ts'
import { forCustomer } from './for-customer.ts'
import { knownError } from './known-error.ts'
import type { Ending } from './paid-error.ts'
import type { AskedCall } from './read-request.ts'
import { releaseCall } from './settle-call.ts'
import { streamResponse } from './stream-response.ts'
import { wholeResponse } from './whole-response.ts'
import { withRequest } from './with-request.ts'

/** Serves one call and writes the response to the exchange. @throws {TollgateError} only while nothing was sent. */
export async function serveCall(deps: CallDependencies, endpoint: Endpoint, exchange: Exchange): Promise<void> {
  const caller = await deps.admission.identify(exchange.incoming)
  try {
    await serveCaller(deps, endpoint, exchange, caller)
  } catch (error) {
    throw knownError(error, caller, deps.config.budgetExceededStatus)
  }
}

async function serveCaller(
  deps: CallDependencies,
  endpoint: Endpoint,
  exchange: Exchange,
  caller: Caller,
): Promise<void> {
  const { rates, refusedCalls } = deps.admission
  requirePermission(caller, 'llm:inference')
  refusedCalls.refuse(caller)
  const rate = await rates.call(caller)
  // Set here and not with the headers of the response: a repeated Idempotency-Key gets those again.
  if (rate !== null)
    for (const [name, value] of Object.entries({ ...rateHeaders(rate), ...endpoint.headers?.rate?.(rate) }))
      exchange.outgoing.setHeader(name, value)
  try {
    await withRequest(exchange, { deps, endpoint, caller }, async (request, session) => {
      const payer = await forCustomer(deps.admission, caller, request)
      await serveOnce(deps, endpoint, exchange, payer, { request, session }).catch((error: unknown) => {
        throw knownError(error, payer, deps.config.budgetExceededStatus)
      })
    })
  } catch (error) {
    if (!exchange.outgoing.hasHeader('X-RateLimit-Tier')) await deps.admission.quotas.tellWithout(exchange, caller)
    throw error
  }
}

/** Admits and makes the call, unless its Idempotency-Key has a stored response. */
async function serveOnce(
  deps: CallDependencies,
  endpoint: Endpoint,
  exchange: Exchange,
  caller: Caller,
  asked: AskedCall,
): Promise<void> {
  const key = idempotencyKeyOf(deps, endpoint, exchange, caller, asked.request)
  const earlier = (await key?.find()) ?? null
  if (earlier !== null) {
    await deps.admission.quotas.tellWithout(exchange, caller)
    return replay(exchange, earlier)
  }
  const call = await admit(deps, endpoint, exchange, caller, asked)
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

/** Makes an admitted call. Fetched media stay in memory until it is over. An unexpected failure must not leave a hold behind. */
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
