/** A small JSON object as the body of a request to the management routes. */
import type { IncomingMessage } from 'node:http'
import { TollgateError } from './errors.ts'
import { countMembers } from './json-members.ts'
import { readBody, refuseOtherThanJson } from './read-body.ts'
import { refuseHalves } from './well-formed.ts'

const BYTES_MAX = 64 * 1024
const DEPTH_MAX = 32

/** Nothing sent reads as an empty object. @throws {TollgateError} 400, 413, 415. */
export async function readJson(incoming: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  refuseOtherThanJson(incoming)
  const body = await readBody(incoming, BYTES_MAX)
  const text = body.toString('utf8').trim()
  if (text === '') return {}
  const json = parse(countMembers(body, DEPTH_MAX) === null ? '' : text)
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new TollgateError(400, 'invalid_json', 'The request body must be a JSON object.', { param: 'request_body' })
  refuseHalves(body, json)
  return json as Record<string, unknown>
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Its message quotes the text, which may be a key.
    return null
  }
}
