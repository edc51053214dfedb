/** Turns tools of a request into functions of a chat completion, and back. A tool of a namespace gets the namespace's name as a prefix. */
import { asObject } from '../../../../providers/json.ts'
import { kindOf } from '../../../../providers/openai-responses/tools.ts'
import type { TollgateError } from '../../../http/errors.ts'
import { unsupported } from '../../read-members.ts'

type Json = Readonly<Record<string, unknown>>

export interface NamedTool {
  name: string
  namespace: string | null
  /** True for a tool whose input is a text instead of arguments. */
  isCustom: boolean
}

export interface ChatTools {
  /** The functions of the chat completion. */
  functions: readonly Json[]
  /** The tools, by the name of the function. */
  byName: ReadonlyMap<string, NamedTool>
  /** A search by the provider is allowed. */
  searches: boolean
}

/** A tool that searches for tools. The model is shown all tools, so nothing is lost without it. */
const NOT_NEEDED: ReadonlySet<string> = new Set(['tool_search'])
/** The longest name of a function. */
const NAME_MAX = 64

/** @param lists tools and their places. @throws {TollgateError} 400, naming a tool that only OpenAI's models know. */
export function chatTools(lists: readonly (readonly [tools: unknown, path: string])[]): ChatTools {
  const functions: Json[] = []
  const byName = new Map<string, NamedTool>()
  let searches = false

  function add(tool: Json, namespace: string | null, path: string): void {
    if (tool.type === 'namespace') {
      const own = typeof tool.name === 'string' ? tool.name : ''
      for (const [index, inner] of list(tool.tools).entries())
        add(asObject(inner) ?? {}, own, `${path}.tools[${index}]`)
      return
    }
    if (tool.type !== 'function' && tool.type !== 'custom') {
      const kind = kindOf(tool)
      if (kind === 'web_search' || kind === 'web_search_preview') searches = true
      else if (!NOT_NEEDED.has(String(tool.type))) throw onlyOpenAi(tool, path)
      return
    }
    const named = { name: String(tool.name), namespace, isCustom: tool.type === 'custom' }
    const name = functionName(named)
    // A conversation may define the same tool again later.
    if (byName.has(name)) return
    byName.set(name, named)
    functions.push({
      type: 'function',
      function: { name, ...(named.isCustom ? textFunction(tool) : functionOf(tool)) },
    })
  }

  for (const [tools, path] of lists)
    for (const [index, tool] of list(tools).entries()) add(asObject(tool) ?? {}, null, `${path}[${index}]`)
  return { functions, byName, searches }
}

/** The name that calls in the conversation, and a choice, use too. */
export function functionName({ name, namespace }: Pick<NamedTool, 'name' | 'namespace'>): string {
  return namespace === null || namespace === '' ? name : `${namespace}__${name}`.slice(-NAME_MAX)
}

function functionOf({ description, parameters, strict }: Json): Json {
  return {
    ...(typeof description === 'string' ? { description } : {}),
    parameters: parameters ?? { type: 'object', properties: {} },
    ...(strict === true ? { strict } : {}),
  }
}

/** The description tells the model what the text has to look like. */
function textFunction({ description, format }: Json): Json {
  const { syntax, definition } = asObject(format) ?? {}
  const form = typeof definition === 'string' ? `The input follows this ${String(syntax)} grammar:\n${definition}` : ''
  const said = [description, form].filter((text) => typeof text === 'string' && text !== '').join('\n\n')
  const input = { type: 'string', description: 'The whole input of the tool, as plain text.' }
  return {
    ...(said === '' ? {} : { description: said }),
    parameters: { type: 'object', properties: { input }, required: ['input'], additionalProperties: false },
  }
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

export function onlyOpenAi({ type }: Json, path: string): TollgateError {
  const shown = String(type).slice(0, 64)
  const message = `Only a model that speaks Responses takes "${path}", of type '${shown}'. Leave it out, or ask for one of OpenAI's models.`
  return unsupported(path, message)
}
