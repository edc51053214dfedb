/** Reads a chat completion request: checks what we rely on and leaves the rest as it is. */
import { noCuts } from '../../../providers/cut-texts.ts'
import { KNOWN, KNOWN_ANYWHERE } from '../../../providers/known-members/additions.ts'
import { type Stranger, shapeAt, strangersIn } from '../../../providers/known-members/shape.ts'
import type { ChatRequest } from '../../../providers/provider.ts'
import { type JsonObject, parseJsonObject } from '../../http/json-object.ts'
import { bad, modelNameOf, OUTPUT_CAP_MAX, refuseAlias } from '../read-members.ts'

const CHOICES_MAX = 128

/** @throws {TollgateError} 400, naming the member that is wrong. */
export function parseRequest(text: Buffer): ChatRequest {
  return readChatRequest(parseJsonObject(text))
}

/** @throws {TollgateError} 400, naming the member that is wrong. */
export function readChatRequest({ text, members, json, cuts }: JsonObject): ChatRequest {
  const strangers = strangersIn(json, KNOWN)
  refuseAliases(strangers)
  const model = modelNameOf(json)
  const { messages } = json
  if (!Array.isArray(messages) || messages.length === 0) {
    throw bad('messages', '"messages" must be an array with at least one message.')
  }
  const stray = messages.findIndex(
    (message) => typeof message !== 'object' || message === null || Array.isArray(message),
  )
  if (stray >= 0) throw bad(`messages[${stray}]`, `"messages[${stray}]" must be an object with "role" and "content".`)
  refuseForms(json)
  const stream = optional(json, 'stream', (value) => typeof value === 'boolean', 'true or false') === true
  return {
    text,
    cuts: cuts ?? noCuts(),
    members,
    json,
    model,
    stream,
    includeUsage: asksUsage(json),
    choices: choicesOf(json),
    outputCap: outputCapOf(json),
    strangers,
  }
}

/** Refuses unknown members whose names fold to known ones, also below members that only some providers take. @throws {TollgateError} 400. */
function refuseAliases(strangers: readonly Stranger[]): void {
  for (const stranger of strangers) {
    const shape = shapeAt(KNOWN_ANYWHERE, stranger.path)
    for (const { path } of shape === undefined ? [stranger] : strangersIn(stranger.value, shape, stranger.path))
      refuseAlias(path, KNOWN_ANYWHERE)
  }
}

const isList = (value: unknown) => Array.isArray(value)
const isObject = (value: unknown) => typeof value === 'object' && !Array.isArray(value)
const isListOfObjects = (value: unknown) =>
  Array.isArray(value) && value.every((element) => element !== null && isObject(element))

/**
 * Members that change the cost of a call, in the only form that is accepted. Some servers take an object for a list of one, a word for
 * the option of that name, or any value for yes.
 */
const FORMS: readonly [key: string, accepts: (value: unknown) => boolean, expected: string][] = [
  ['tools', (value) => isListOfObjects(value) && typesOf(value).every(isWord), 'a list of objects, each with a "type"'],
  ['web_search_options', isObject, 'an object'],
  ['search_parameters', isObject, 'an object'],
  ['plugins', isListOfObjects, 'a list of objects'],
  ['models', isList, 'a list'],
  ['modalities', (value) => Array.isArray(value) && value.every(isModality), 'a list of "text", "audio" or "image"'],
]

const typesOf = (list: unknown) => (list as readonly { type?: unknown }[]).map(({ type }) => type ?? '')
const isWord = (value: unknown) => typeof value === 'string'
const isModality = (value: unknown) => value === 'text' || value === 'audio' || value === 'image'

/** @throws {TollgateError} 400. */
function refuseForms(json: Readonly<Record<string, unknown>>): void {
  for (const [key, accepts, expected] of FORMS) optional(json, key, accepts, expected)
  for (const [index, { content }] of (json.messages as { content?: unknown }[]).entries()) {
    const isContent = content === null || typeof content !== 'object' || Array.isArray(content)
    // Some servers flatten a list of lists.
    if (!isContent || (Array.isArray(content) && content.some(isList)))
      throw bad(`messages[${index}].content`, `"messages[${index}].content" must be a text or a list of parts.`)
  }
}

/** `n`. */
export function choicesOf(json: Readonly<Record<string, unknown>>): number {
  const choices = optional(json, 'n', (value) => isCount(value, 1, CHOICES_MAX), `an integer from 1 to ${CHOICES_MAX}`)
  return typeof choices === 'number' ? choices : 1
}

/** The larger of the two members where both are there: it covers whichever the provider follows. */
export function outputCapOf(json: Readonly<Record<string, unknown>>): number | null {
  const caps = ['max_completion_tokens', 'max_tokens']
    .map((key) =>
      optional(json, key, (value) => isCount(value, 1, OUTPUT_CAP_MAX), `an integer from 1 to ${OUTPUT_CAP_MAX}`),
    )
    .filter((value) => typeof value === 'number')
  return caps.length === 0 ? null : Math.max(...caps)
}

function asksUsage(json: Readonly<Record<string, unknown>>): boolean {
  const options = optional(
    json,
    'stream_options',
    (value) => typeof value === 'object' && !Array.isArray(value),
    'an object',
  )
  return (options as { include_usage?: unknown } | null)?.include_usage === true
}

/** The member's value, or null where it is missing or null. */
function optional(
  json: Readonly<Record<string, unknown>>,
  key: string,
  accepts: (value: unknown) => boolean,
  expected: string,
): unknown {
  const value = json[key] ?? null
  if (value !== null && !accepts(value)) throw bad(key, `"${key}" must be ${expected}.`)
  return value
}

function isCount(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
}
