/**
 * Fetches the media that a call names by URL, once the call is held, and fits the hold to them. The hold assumed the largest size of
 * each item, so it usually shrinks; it grows where the whole request can cost more.
 */
import { TollgateError } from '../http/errors.ts'
import { type Admitted, firstAttempt } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { RemoteMedia } from './endpoint.ts'
import { inlineMedia } from './fetch-media.ts'
import { errorCode, releaseCall } from './settle-call.ts'

export interface Fetched {
  /** The same call, with the fetched media in its request. */
  call: Admitted
  /** Gives back the memory of what was fetched. */
  forget(): void
}

/** @throws {TollgateError} once the hold is released. */
export async function fetchRemote(deps: CallDependencies, call: Admitted): Promise<Fetched> {
  const { remote, exchange, caller } = call
  if (remote === null) return { call, forget: () => {} }
  try {
    const fetching = deps.admission.fetchBudget.open(caller.organizationId)
    try {
      return { call: await fetchInto(deps, call, remote, fetching), forget: () => fetching.release() }
    } catch (error) {
      fetching.release()
      throw error
    } finally {
      fetching.done()
    }
  } catch (error) {
    const outcome = exchange.clientDisconnected ? 'client_disconnected' : 'failed'
    const why = exchange.clientDisconnected ? outcome : errorCode(error)
    await releaseCall(deps, firstAttempt(call, false), outcome, { error: why })
    throw error
  }
}

async function fetchInto(
  deps: CallDependencies,
  call: Admitted,
  remote: RemoteMedia,
  fetching: ReturnType<CallDependencies['admission']['fetchBudget']['open']>,
): Promise<Admitted> {
  const disconnected = new AbortController()
  call.exchange.onDisconnect(() => disconnected.abort())
  const options = { guard: deps.network.guard, fetching, disconnected: disconnected.signal }
  const request = await inlineMedia(options, remote)
  const candidates = call.quote(request)
  await call.hold.fit(candidates[0]!)
  if (call.exchange.clientDisconnected)
    throw new TollgateError(499, 'client_disconnected', 'The caller left before the call was made.')
  return { ...call, request, candidates }
}
