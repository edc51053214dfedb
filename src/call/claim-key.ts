/** The Idempotency-Key of a call: what it is bound to, and how the call claims it. */
import type { Exchange } from '../http/exchange.ts'
import { type IdempotencyKey, openIdempotencyKey, type StoredResponse } from '../idempotency/idempotency.ts'
import type { Caller } from '../identity/caller.ts'
import { type Admitted, firstAttempt } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { Endpoint, EndpointRequest } from './endpoint.ts'
import { powerLevelOf } from './power-level.ts'
import { QUOTE_HEADER } from './quotes.ts'
import { errorCode, releaseCall } from './settle-call.ts'

/** Null where the caller sent none. @throws {TollgateError} 400. */
export function idempotencyKeyOf(
  { database, observe }: CallDependencies,
  { name: endpoint }: Pick<Endpoint, 'name'>,
  { headers, callId }: Exchange,
  caller: Caller,
  request: EndpointRequest,
): IdempotencyKey | null {
  const key = headers['idempotency-key']
  if (typeof key !== 'string') return null
  // These headers change the price, so a request with another value of one of them is another request.
  const ofBody = powerLevelOf(undefined, request.powerLevel)
  const level = powerLevelOf(headers['x-power-level'], request.powerLevel)
  const quote = headers[QUOTE_HEADER]
  const variant = `${endpoint} ${level === ofBody ? '' : level} ${quote ?? ''}`
  return openIdempotencyKey({ database, log: observe.log }, caller, key, { body: request.text, variant }, callId)
}

/** Claims the key after the hold, so that a refused call leaves no key. If another call has claimed it meanwhile, this one is not made. */
export async function claimKey(
  deps: CallDependencies,
  call: Admitted,
  key: IdempotencyKey,
): Promise<StoredResponse | null> {
  const release = (error: string) => releaseCall(deps, firstAttempt(call, false), 'failed', { error })
  try {
    const meanwhile = await key.claim()
    if (meanwhile !== null) await release('idempotency_key_in_use')
    return meanwhile
  } catch (error) {
    await release(errorCode(error))
    throw error
  }
}
