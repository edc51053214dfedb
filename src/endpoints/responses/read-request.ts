/** Reads a request for a response: checks what we rely on and leaves the rest as it is. */
import { noCuts } from '../../../providers/cut-texts.ts'
import { KNOWN_RESPONSE, KNOWN_RESPONSE_ANYWHERE } from '../../../providers/known-members/additions.ts'
import { strangersIn } from '../../../providers/known-members/shape.ts'
import type { ResponsesRequest } from '../../../providers/responses.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { bad, modelNameOf, OUTPUT_CAP_MAX, refuseAlias } from '../read-members.ts'

const TOOL_CALLS_MAX = 1_000

/** @throws {TollgateError} 400, naming the member that is wrong. */
export function readResponsesRequest({ text, members, json, cuts }: JsonObject): ResponsesRequest {
  const strangers = strangersIn(json, KNOWN_RESPONSE)
  for (const { path } of strangers) refuseAlias(path, KNOWN_RESPONSE_ANYWHERE)
  const model = modelNameOf(json)
  const { input = null, stream = null } = json
  if (typeof input !== 'string' && !isListOfObjects(input))
    throw bad('input', '"input" must be a text or a list of items, each an object.')
  if (stream !== null && typeof stream !== 'boolean') throw bad('stream', '"stream" must be true or false.')
  refuseForms(json)
  return {
    text,
    cuts: cuts ?? noCuts(),
    members,
    json,
    model,
    stream: stream === true,
    outputCap: countIn(json, 'max_output_tokens', OUTPUT_CAP_MAX),
    strangers,
  }
}

/** Members that change the cost of a call, in the only form that is accepted. @throws {TollgateError} 400. */
function refuseForms(json: Readonly<Record<string, unknown>>): void {
  countIn(json, 'max_tool_calls', TOOL_CALLS_MAX)
  refuseTools(json.tools, 'tools')
  const items: readonly unknown[] = Array.isArray(json.input) ? json.input : []
  for (const [index, item] of items.entries()) {
    const { tools, content, output } = item as Readonly<Record<string, unknown>>
    refuseTools(tools, `input[${index}].tools`)
    for (const [name, value] of Object.entries({ content, output })) {
      // Some servers flatten a list of lists.
      if (
        Array.isArray(value) &&
        value.some((part) => typeof part !== 'object' || part === null || Array.isArray(part))
      )
        throw bad(`input[${index}].${name}`, `"input[${index}].${name}" must be a text or a list of parts.`)
    }
  }
}

/** Namespaces hold tools too. @throws {TollgateError} 400. */
function refuseTools(tools: unknown, path: string): void {
  if (tools === undefined || tools === null) return
  const isTools = (list: unknown): boolean =>
    isListOfObjects(list) &&
    list.every((tool) => {
      const { type, tools: below = null } = tool as Readonly<Record<string, unknown>>
      return typeof type === 'string' && (below === null || isTools(below))
    })
  if (!isTools(tools)) throw bad(path, `"${path}" must be a list of objects, each with a "type".`)
}

function countIn(json: Readonly<Record<string, unknown>>, name: string, most: number): number | null {
  const value = json[name] ?? null
  if (value === null) return null
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > most)
    throw bad(name, `"${name}" must be an integer from 1 to ${most}.`)
  return value
}

function isListOfObjects(value: unknown): value is readonly object[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'object' && one !== null && !Array.isArray(one))
}
