/** Reads a request and does something with it. While it does, the caller has one more call running, and the body is in memory. */
import type { Exchange } from '../http/exchange.ts'
import type { Caller } from '../identity/caller.ts'
import { requireModel } from '../identity/restrictions.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { Endpoint, EndpointRequest } from './endpoint.ts'
import { readRequest } from './read-request.ts'

export interface Reading {
  deps: Pick<CallDependencies, 'admission' | 'config'>
  endpoint: Pick<Endpoint, 'read'>
  caller: Caller
  /** Nothing is charged for it. */
  isFree?: boolean
}

/** @throws {TollgateError} 400, 402, 403, 408, 413, 415, 429, 503, and what `use` throws. */
export async function withRequest<Result>(
  { incoming }: Pick<Exchange, 'incoming'>,
  { deps: { admission, config }, endpoint, caller, isFree = false }: Reading,
  use: (request: EndpointRequest) => Promise<Result>,
): Promise<Result> {
  const entered = admission.runningCalls.enter(caller)
  // Nothing is awaited where this process knows the answer.
  const leave = entered instanceof Promise ? await entered : entered
  try {
    const reading = { bodies: admission.bodies, valuesMax: config.limits.bodyValues, isFree }
    const { request, release } = await readRequest(reading, endpoint, incoming, caller)
    try {
      requireModel(caller, request.model)
      return await use(request)
    } finally {
      release()
    }
  } finally {
    leave()
  }
}
