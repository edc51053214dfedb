/** What a request for a response names of earlier ones, and what of its own can be named later. */
import { asObject, parseJson } from '../../../providers/json.ts'
import { type Change, changeMembers } from '../../../providers/json-members.ts'
import { isReference } from '../../../providers/openai-responses/refusals.ts'
import type { ResponsesRequest } from '../../../providers/responses.ts'
import { parseFrame } from '../../../providers/sse-frames.ts'
import type { EndpointRequest, Named, RequestMemory } from '../../call/endpoint.ts'
import { parseJsonObject } from '../../http/json-object.ts'
import { bad } from '../read-members.ts'
import { KEPT_BYTES_MAX, tooMuch } from './kept-limits.ts'
import { readResponsesRequest } from './read-request.ts'

type Json = Readonly<Record<string, unknown>>

const NAMES_MAX = 1_000
/** Each name stands for what is kept under it, however often it is written. */
const FILLED_BYTES_MAX = 2 * KEPT_BYTES_MAX
const ID = /^[\x21-\x7e]{1,200}$/
/** Their ids are of use only to whoever keeps them: a provider that keeps nothing would look for them in vain. */
const NAMELESS: ReadonlySet<unknown> = new Set(['message', 'function_call', 'custom_tool_call'])

/** @param call the request that is made of one with everything in it. */
export function memoryOf(
  request: ResponsesRequest,
  call: (filled: ResponsesRequest) => EndpointRequest,
): RequestMemory {
  const { previous, items } = namedBy(request.json)
  const names = new Set(items)
  if (names.size > NAMES_MAX) throw bad('input', `"input" refers to more than ${NAMES_MAX} items. Send them in full.`)
  if (previous !== null) names.add(previous)
  return {
    names: [...names],
    filled: (found) => call(filledRequest(request, found)),
    given: (end) => (request.json.store === false ? [] : givenBy(request, end)),
  }
}

function namedBy(json: Json): { previous: string | null; items: string[] } {
  const { previous_response_id: previous } = json
  return {
    previous: typeof previous === 'string' && ID.test(previous) ? previous : null,
    items: inputOf(json).flatMap((item) => nameOf(item) ?? []),
  }
}

function nameOf(item: unknown): string | null {
  const id = isReference(item) ? asObject(item)?.id : null
  return typeof id === 'string' && ID.test(id) ? id : null
}

function inputOf({ input }: Json): readonly unknown[] {
  if (Array.isArray(input)) return input
  return typeof input === 'string' ? [{ role: 'user', content: input }] : []
}

function filledRequest(request: ResponsesRequest, found: ReadonlyMap<string, string>): ResponsesRequest {
  const { json, text, members } = request
  const { previous } = namedBy(json)
  const earlier = previous === null ? undefined : found.get(previous)
  let bytes = text.length + (earlier?.length ?? 0)
  const items = inputOf(json).map((item) => {
    const known = found.get(nameOf(item) ?? '')
    if (known === undefined) return JSON.stringify(item)
    bytes += known.length
    if (bytes > FILLED_BYTES_MAX) throw tooMuch()
    return JSON.stringify(withoutName(JSON.parse(known)))
  })
  const before = earlier === undefined ? [] : conversationOf(earlier).map((item) => JSON.stringify(item))
  const changes: Change[] = [{ key: 'input', value: `[${[...before, ...items].join(',')}]` }]
  if (earlier !== undefined) changes.push({ key: 'previous_response_id', remove: true })
  const filled = changeMembers(text, members, changes)
  return readResponsesRequest({ ...parseJsonObject(filled), cuts: request.cuts })
}

/** What the model read for a response, and what it said. */
function conversationOf(kept: string): unknown[] {
  const { input, response } = JSON.parse(kept) as { input: unknown[]; response: Json }
  return [...input, ...outputOf(response).map(withoutName)]
}

function withoutName(item: unknown): unknown {
  const { id, ...rest } = asObject(item) ?? {}
  return NAMELESS.has(rest.type) ? rest : { id, ...rest }
}

/** The response, and its items: what the caller may name. Not where the model read what we don't have. */
function givenBy(request: ResponsesRequest, end: Buffer): Named[] {
  const response = responseIn(end)
  if (response === null) return []
  const items = outputOf(response).flatMap((item) => named(asObject(item)?.id, item))
  const { json, text, cuts } = request
  const { previous, items: unknown } = namedBy(json)
  if (previous !== null || unknown.length > 0 || text.length + cuts.bytes > KEPT_BYTES_MAX) return items
  const input = Buffer.concat(cuts.restore(Buffer.from(JSON.stringify(inputOf(json))))).toString('utf8')
  return [...items, ...named(response.id, { response }, `{"input":${input},`)]
}

/** @param head begins the JSON of `value`, in the place of its brace. */
function named(id: unknown, value: unknown, head = '{'): Named[] {
  if (typeof id !== 'string' || !ID.test(id)) return []
  return [{ id, kept: `${head}${JSON.stringify(value).slice(1)}` }]
}

/** A response, whole or as the event that ends it tells it. */
function responseIn(end: Buffer): Json | null {
  const json = asObject(parseJson(end)) ?? lastEvent(end)
  const response = asObject(json?.response) ?? json
  return response?.object === 'response' ? response : null
}

function outputOf({ output }: Json): readonly unknown[] {
  return Array.isArray(output) ? output : []
}

function lastEvent(end: Buffer): Json | null {
  const frame = end
    .toString('utf8')
    .split('\n\n')
    .findLast((text) => /^data:/m.test(text))
  return frame === undefined ? null : asObject(parseJson(parseFrame(Buffer.from(`${frame}\n\n`)).data))
}

/** The ids under which a kept response and its items are found. */
export function idsOfKept(kept: string): { response: Json; ids: string[] } {
  const { response } = JSON.parse(kept) as { response?: Json }
  const items = outputOf(response ?? {}).flatMap((item) => named(asObject(item)?.id, item))
  return { response: response ?? {}, ids: [...named(response?.id, {}), ...items].map(({ id }) => id) }
}
