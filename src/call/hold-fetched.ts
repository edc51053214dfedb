/**
 * Fetches what a call names by URL once it is held, and makes the hold what the call is worth as it is then. It was held at the most
 * such an item can be; it grows where that was less than all of the request can cost, and shrinks where it is more.
 */
import type { ChatRequest } from '../../providers/provider.ts'
import type { Fetching } from '../admission/fetch-budget.ts'
import { TollgateError } from '../http/errors.ts'
import type { Call } from './call.ts'
import type { Candidate } from './candidate.ts'
import type { ChatDependencies } from './chat.ts'
import { inlineMedia } from './fetch-media.ts'
import { capFor, fitHold } from './place-hold.ts'
import { releaseCall } from './settle-call.ts'

export interface ToFetch {
  mustFetch: (url: string) => boolean
  /** The candidates of the call with what was fetched in it. @throws {TollgateError} 400 where nobody can take it. */
  remake: (request: ChatRequest) => readonly Candidate[]
}

/** Returns the candidates that hold now. @throws {TollgateError} once the hold is released. */
export async function holdFetched(
  deps: ChatDependencies,
  call: Call,
  { mustFetch, remake }: ToFetch,
  fetching: Fetching,
): Promise<readonly Candidate[]> {
  const disconnected = new AbortController()
  call.exchange.onDisconnect(() => disconnected.abort())
  try {
    call.request = await inlineMedia(
      { guard: deps.guard, fetching, disconnected: disconnected.signal },
      call.request,
      mustFetch,
    )
    const candidates = remake(call.request)
    call.candidate = candidates[0]!
    await fitHold(deps.ledger, call)
    call.appliedCap = capFor(call)
    if (call.exchange.clientDisconnected)
      throw new TollgateError(499, 'client_disconnected', 'The caller left before the call was made.')
    return candidates
  } catch (error) {
    const code = error instanceof TollgateError ? error.code : 'internal'
    const outcome = call.exchange.clientDisconnected ? 'client_disconnected' : 'failed'
    await releaseCall(deps, call, outcome, { error: call.exchange.clientDisconnected ? outcome : code })
    throw error
  } finally {
    fetching.done()
  }
}
