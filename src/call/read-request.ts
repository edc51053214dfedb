/** Reads a call's body, within the memory its caller may use, and lets its endpoint parse it. */
import type { IncomingMessage } from 'node:http'
import type { Bodies } from '../admission/bodies.ts'
import { parseLongJson } from '../http/cut-json.ts'
import { scanBody } from '../http/json-object.ts'
import { refuseOtherThanJson } from '../http/read-body.ts'
import type { Caller } from '../identity/caller.ts'
import type { Endpoint, EndpointRequest } from './endpoint.ts'

/** `release` gives back the memory of its body, once the call is over. */
export interface ReadRequest {
  request: EndpointRequest
  release(): void
}

export interface Reading {
  bodies: Bodies
  valuesMax: number
  /** Nothing is charged for it. */
  isFree?: boolean
}

/** @throws {TollgateError} 400, 402, 403, 408, 413, 415, 429, 503. */
export async function readRequest(
  { bodies, valuesMax, isFree = false }: Reading,
  endpoint: Pick<Endpoint, 'read'>,
  incoming: IncomingMessage,
  caller: Caller,
): Promise<ReadRequest> {
  refuseOtherThanJson(incoming)
  const scan = scanBody(valuesMax)
  const { bytes, release } = await bodies.read(incoming, caller, scan.push, isFree)
  try {
    const sent = { text: bytes, headers: incoming.headers }
    return { request: endpoint.read(await parseLongJson(bytes, scan), sent), release }
  } catch (error) {
    release()
    throw error
  }
}
