/**
 * What of earlier calls can be named by its id, in the place of sending it: by the user it was made for and nobody else. It stands in
 * the request before that is priced, so that it is held and counted as what was sent. Fails open: what could not be kept is refused by
 * name when it is asked for, and the call that made it is none the worse.
 */
import type { Caller } from '../identity/caller.ts'
import type { EndpointRequest, Named } from './endpoint.ts'

export type Owner = Pick<Caller, 'organizationId' | 'userId'>

export interface Memory {
  /** False: nothing is ever kept, and nobody is asked. */
  readonly isOn: boolean
  /** Those that are known, by id. @throws {TollgateError} 413, 503. */
  recall(owner: Owner, ids: readonly string[]): Promise<ReadonlyMap<string, string>>
  /** Nobody waits for it. */
  keep(owner: Owner, named: readonly Named[]): void
}

/** The request with all that it names. */
export async function recalled(memory: Memory, caller: Caller, request: EndpointRequest): Promise<EndpointRequest> {
  const names = request.memory?.names ?? []
  if (!memory.isOn || names.length === 0) return request
  return request.memory?.filled(await memory.recall(caller, names)) ?? request
}

/** Once the caller gets the response. */
export function remember(
  memory: Memory,
  { caller, request }: { caller: Caller; request: EndpointRequest },
  end: Buffer,
): void {
  const given = memory.isOn ? (request.memory?.given(end) ?? []) : []
  if (given.length > 0) memory.keep(caller, given)
}
