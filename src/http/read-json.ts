/** A small JSON object as the body of a request to the management routes. */
import type { IncomingMessage } from 'node:http'
import { TollgateError } from './errors.ts'
import { createJsonScan } from './json-scan.ts'
import { readBody, refuseOtherThanJson } from './read-body.ts'
import { refuseHalves } from './well-formed.ts'

const BYTES_MAX = 64 * 1024
const LIMITS = { depth: 32, values: 10_000 }
const SILENT_MS = 10_000

/** Nothing sent reads as an empty object. @throws {TollgateError} 400, 408, 413, 415. */
export async function readJson(incoming: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  refuseOtherThanJson(incoming)
  const { push } = createJsonScan(LIMITS, () => refuse())
  const body = await readBody(incoming, { limit: BYTES_MAX, silentMs: SILENT_MS, onPiece: push })
  const text = body.toString('utf8').trim()
  if (text === '') return {}
  const json = parse(text)
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return refuse()
  refuseHalves(body, json)
  return json as Record<string, unknown>
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Its message quotes the text, which may be a key.
    return refuse()
  }
}

function refuse(): never {
  throw new TollgateError(400, 'invalid_json', 'The request body must be a JSON object.', { param: 'request_body' })
}
