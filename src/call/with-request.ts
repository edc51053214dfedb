/** Reads a request and uses it. Meanwhile the caller has one more running call, and the body is in memory. */
import type { Exchange } from '../http/exchange.ts'
import type { Caller } from '../identity/caller.ts'
import { requireModel } from '../identity/restrictions.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { Endpoint, EndpointRequest } from './endpoint.ts'
import { recalled } from './memory.ts'
import { namedFallbacks } from './named-fallbacks.ts'
import { readRequest } from './read-request.ts'
import type { Session } from './session.ts'

export interface Reading {
  deps: Pick<CallDependencies, 'admission' | 'config' | 'memory'>
  endpoint: Pick<Endpoint, 'read' | 'readForm' | 'mediaOf' | 'isOwnMember'>
  caller: Caller
  /** True for a request that costs nothing, such as a token count. */
  isFree?: boolean
}

/** @throws {TollgateError} 400, 402, 403, 408, 413, 415, 429, 503, and what `use` throws. */
export async function withRequest<Result>(
  { incoming }: Pick<Exchange, 'incoming'>,
  { deps: { admission, config, memory }, endpoint, caller, isFree = false }: Reading,
  use: (request: EndpointRequest, session: Session | null) => Promise<Result>,
): Promise<Result> {
  const entered = admission.runningCalls.enter(caller)
  // Nothing is awaited where this process knows the answer.
  const leave = entered instanceof Promise ? await entered : entered
  try {
    const { limits, sessionHeaders } = config
    const reading = { bodies: admission.bodies, valuesMax: limits.bodyValues, sessionHeaders, isFree }
    const { request, session, release } = await readRequest(reading, endpoint, incoming, caller)
    try {
      requireModel(caller, request.model)
      requireFallbacks(caller, request)
      return await use(await recalled(memory, caller, request), session)
    } finally {
      release()
    }
  } finally {
    leave()
  }
}

/** A caller names no stand-in it may not ask for itself; the operator's are the operator's to choose. */
function requireFallbacks(caller: Caller, { asks }: EndpointRequest): void {
  for (const model of namedFallbacks(asks)) requireModel(caller, model)
}
