/** Tools of a request as functions of a chat completion, and back: those of a namespace get its name before theirs. */
import { asObject } from '../../../../providers/json.ts'
import { kindOf } from '../../../../providers/openai-responses/tools.ts'
import type { TollgateError } from '../../../http/errors.ts'
import { unsupported } from '../../read-members.ts'

type Json = Readonly<Record<string, unknown>>

export interface NamedTool {
  name: string
  namespace: string | null
  /** Its input is a text, where a function's are arguments. */
  isCustom: boolean
}

export interface ChatTools {
  /** The functions of the chat completion. */
  functions: readonly Json[]
  /** By the name of a function. */
  byName: ReadonlyMap<string, NamedTool>
  /** A search by the provider is allowed. */
  searches: boolean
}

/** Found by whoever has all tools before him: nothing is lost without it. */
const NOT_NEEDED: ReadonlySet<string> = new Set(['tool_search'])
/** Functions are not named longer. */
const NAME_MAX = 64

/** @param lists of tools and where they stand. @throws {TollgateError} 400, naming a tool that only OpenAI's models know. */
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
    // The same tool may be defined again later in the conversation.
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

/** As a call of it in the conversation, and a choice, name it too. */
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

/** What the text has to look like is said where the model reads it. */
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
