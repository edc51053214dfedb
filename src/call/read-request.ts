/** Reads a call's body, within the memory its caller may use, takes out what is LiteLLM's, and lets its endpoint parse the rest. */
import type { IncomingMessage } from 'node:http'
import type { Bodies } from '../admission/bodies.ts'
import { parseLongJson } from '../http/cut-json.ts'
import { isForm, readForm } from '../http/form-body.ts'
import { scanBody } from '../http/json-object.ts'
import { refuseOtherThanJson } from '../http/read-body.ts'
import type { Caller } from '../identity/caller.ts'
import type { Endpoint, EndpointRequest } from './endpoint.ts'
import { type Session, sessionOf } from './session.ts'
import { takeAsked, takeAskedOfForm, withAsked } from './take-asked.ts'

/** What was asked, and in which session. */
export interface AskedCall {
  request: EndpointRequest
  session: Session | null
}

/** `release` gives back the memory of its body, once the call is over. */
export interface ReadRequest extends AskedCall {
  release(): void
}

export interface Reading {
  bodies: Bodies
  valuesMax: number
  /** Headers that name a session, as the operator says. */
  sessionHeaders: readonly string[]
  /** True for a request that costs nothing, such as a token count. */
  isFree?: boolean
}

type Reader = Pick<Endpoint, 'read' | 'readForm' | 'mediaOf' | 'isOwnMember'>

/** @throws {TollgateError} 400, 402, 403, 408, 413, 415, 429, 503. */
export async function readRequest(
  { bodies, valuesMax, sessionHeaders, isFree = false }: Reading,
  endpoint: Reader,
  incoming: IncomingMessage,
  caller: Caller,
): Promise<ReadRequest> {
  const type = incoming.headers['content-type']
  if (endpoint.readForm !== undefined && isForm(type))
    return readFormRequest(
      { bodies, sessionHeaders },
      { ...endpoint, readForm: endpoint.readForm },
      incoming,
      caller,
      type,
    )
  refuseOtherThanJson(incoming)
  const scan = scanBody(valuesMax)
  const { bytes, release } = await bodies.read(incoming, caller, scan.push, isFree)
  try {
    const { headers } = incoming
    const whole = await parseLongJson(bytes, scan, endpoint.mediaOf ?? null)
    const { body, asked } = takeAsked(whole, headers, endpoint)
    const session = sessionOf(headers, whole.json, sessionHeaders)
    return { request: withAsked(endpoint.read(body, { text: bytes, headers }), asked), session, release }
  } catch (error) {
    release()
    throw error
  }
}

async function readFormRequest(
  { bodies, sessionHeaders }: Pick<Reading, 'bodies' | 'sessionHeaders'>,
  endpoint: Reader & Required<Pick<Reader, 'readForm'>>,
  incoming: IncomingMessage,
  caller: Caller,
  type: string,
): Promise<ReadRequest> {
  const { bytes, release } = await bodies.read(incoming, caller, () => {})
  try {
    const { headers } = incoming
    const { body, asked } = takeAskedOfForm(readForm(bytes, type), headers, endpoint)
    const session = sessionOf(headers, {}, sessionHeaders)
    return { request: withAsked(endpoint.readForm(body, { text: bytes, headers }), asked), session, release }
  } catch (error) {
    release()
    throw error
  }
}
