/** A request body that is one JSON object, as its bytes and as what they mean: read once, and in one way only. */
import type { CutTexts } from '../../providers/cut-texts.ts'
import { countParsed, duplicateMember, type Member, objectMembers } from '../../providers/json-members.ts'
import { showPath } from '../../providers/known-members/shape.ts'
import { TollgateError } from './errors.ts'
import { createJsonScan, type JsonScan } from './json-scan.ts'
import { refuseHalves } from './well-formed.ts'

const DEPTH_MAX = 256

export interface JsonObject {
  text: Buffer
  /** Where its members stand in the text. */
  members: readonly Member[]
  json: Readonly<Record<string, unknown>>
  /** What was cut out of the text before it was parsed. @default nothing */
  cuts?: CutTexts
}

/** Looks at a body while it arrives: how deep it nests and how many values it has. @throws {TollgateError} 400, 413. */
export function scanBody(valuesMax: number): JsonScan {
  return createJsonScan({ depth: DEPTH_MAX, values: valuesMax }, (limit) => {
    if (limit === 'depth') throw invalid('request_body', `The request body nests deeper than ${DEPTH_MAX} levels.`)
    throw new TollgateError(
      413,
      'too_many_values',
      `The request body has more than ${valuesMax} members and elements. Send less, or ask the operator to raise tollgate.limits.body_values.`,
      { param: 'request_body', limit: 'body_values' },
    )
  })
}

/** @param scan has seen the whole text. @throws {TollgateError} 400 for what is not one JSON object, or has a member twice. */
export function parseJsonObject(text: Buffer, scan: JsonScan = scanned(text)): JsonObject {
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text))
  } catch (cause) {
    throw new TollgateError(400, 'invalid_json', 'The request body is not valid JSON in UTF-8.', {
      param: 'request_body',
      cause,
    })
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw invalid('request_body', 'The request body must be a JSON object.')
  refuseHalves(text, json)
  const twice = countParsed(json) === scan.members ? null : duplicateMember(text)
  if (twice !== null) {
    const shown = showPath(twice)
    throw invalid(shown, `Duplicate member ${JSON.stringify(shown)} in the request. Send it once.`)
  }
  return { text, members: objectMembers(text), json: json as Record<string, unknown> }
}

function scanned(text: Buffer): JsonScan {
  const scan = scanBody(Number.POSITIVE_INFINITY)
  scan.push(text)
  return scan
}

function invalid(param: string, message: string): TollgateError {
  return new TollgateError(400, 'invalid_request', message, { param })
}
