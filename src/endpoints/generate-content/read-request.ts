/** Reads a request in Gemini's dialect: uses one spelling, checks what we rely on, and leaves the rest as it is. */
import { noCuts } from '../../../providers/cut-texts.ts'
import type { GenerateRequest } from '../../../providers/generate.ts'
import { KNOWN_GENERATE } from '../../../providers/known-members/additions.ts'
import { strangersIn } from '../../../providers/known-members/shape.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { bad, modelNameOf, OUTPUT_CAP_MAX, refuseAlias } from '../read-members.ts'
import { inOneSpelling } from './one-spelling.ts'

type Json = Readonly<Record<string, unknown>>

const CANDIDATES_MAX = 8
const MODALITIES_MAX = 8

/** What the path of the request says. */
export interface Asked {
  model: string
  stream: boolean
}

/** @throws {TollgateError} 400, naming the member that is wrong. */
export function readGenerateRequest(body: JsonObject, { model, stream }: Asked): GenerateRequest {
  const { text, members, json, cuts = noCuts() } = inOneSpelling(body, KNOWN_GENERATE)
  const strangers = strangersIn(json, KNOWN_GENERATE)
  for (const { path } of strangers) refuseAlias(path, KNOWN_GENERATE)
  modelNameOf({ model })
  if ((json.model ?? null) !== null && json.model !== model && json.model !== `models/${model}`)
    throw bad('model', 'The model is named in the path. Leave "model" out.')
  if (!isOneOrMore(json.contents))
    throw bad('contents', '"contents" must be a list with at least one object that has "parts".')
  for (const name of ['tools', 'safetySettings'])
    if (!isNone(json[name]) && !isOneOrMore(json[name], 0)) throw objects(name)
  for (const name of ['systemInstruction', 'toolConfig', 'generationConfig'])
    if (!isNone(json[name]) && !isObject(json[name])) throw bad(name, `"${name}" must be an object.`)
  if (!isNone(json.serviceTier) && typeof json.serviceTier !== 'string')
    throw bad('serviceTier', '"serviceTier" must be a text.')
  checkConfig((json.generationConfig ?? {}) as Json)
  return { text, cuts, members, json, model, stream, strangers }
}

/** Members that change the price, in the only form that is accepted. Google also takes a number in quotes, and 0 for none. */
function checkConfig({ candidateCount, maxOutputTokens, thinkingConfig, responseModalities }: Json): void {
  const integer = (value: unknown, name: string, least: number, most: number) => {
    if (isNone(value) || (Number.isInteger(value) && Number(value) >= least && Number(value) <= most)) return
    throw bad(`generationConfig.${name}`, `"generationConfig.${name}" must be an integer from ${least} to ${most}.`)
  }
  integer(candidateCount, 'candidateCount', 1, CANDIDATES_MAX)
  integer(maxOutputTokens, 'maxOutputTokens', 1, OUTPUT_CAP_MAX)
  if (!isNone(thinkingConfig) && !isObject(thinkingConfig))
    throw bad('generationConfig.thinkingConfig', '"generationConfig.thinkingConfig" must be an object.')
  integer(
    (thinkingConfig as Json | null | undefined)?.thinkingBudget,
    'thinkingConfig.thinkingBudget',
    -1,
    OUTPUT_CAP_MAX,
  )
  const kinds = Array.isArray(responseModalities) ? responseModalities : [responseModalities]
  if (
    !isNone(responseModalities) &&
    !(kinds.length <= MODALITIES_MAX && kinds.every((kind) => typeof kind === 'string'))
  )
    throw bad('generationConfig.responseModalities', '"generationConfig.responseModalities" must be a list of texts.')
}

function objects(name: string) {
  return bad(name, `"${name}" must be a list of objects.`)
}

function isNone(value: unknown): boolean {
  return value === undefined || value === null
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Google takes an object for a list with that object alone. */
function isOneOrMore(value: unknown, least = 1): boolean {
  return isObject(value) || (Array.isArray(value) && value.length >= least && value.every(isObject))
}
