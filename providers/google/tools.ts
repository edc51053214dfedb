/** Tools, and which of them may or must be called: OpenAI's words as Gemini's. */

import { asObject } from '../json.ts'
import type { ServerTool } from '../provider.ts'
import { generation } from './models.ts'
import { textOf } from './parts.ts'

type Json = Readonly<Record<string, unknown>>

/** Tools Google runs itself, by our name for their price, and the words by which a request may ask for one. */
const SERVER_TOOLS: readonly { kind: string; gemini: string; words: readonly string[] }[] = [
  {
    kind: 'web_search',
    gemini: 'googleSearch',
    words: ['web_search', 'web_search_preview', 'google_search', 'googleSearch'],
  },
  { kind: 'code_execution', gemini: 'codeExecution', words: ['code_execution', 'code_interpreter', 'codeExecution'] },
  { kind: 'url_context', gemini: 'urlContext', words: ['url_context', 'urlContext'] },
  { kind: 'google_maps', gemini: 'googleMaps', words: ['google_maps', 'googleMaps'] },
]
/** Generations before 3 bill a search by the prompt, later ones by the query; nothing says how many queries there may be. */
const QUERIES_MAX = 10

function serverToolOf(tool: Json): (typeof SERVER_TOOLS)[number] | undefined {
  return SERVER_TOOLS.find(({ words }) =>
    words.some((word) => tool.type === word || (tool.type === undefined && asObject(tool[word]) !== null)),
  )
}

function toolsOf(json: Json): Json[] {
  const tools: unknown[] = Array.isArray(json.tools) ? json.tools : []
  return tools.map(asObject).filter((tool) => tool !== null)
}

/** What it finds becomes input, and nothing bounds that. */
export function googleServerTools(json: Json, model: string): ServerTool[] {
  const kinds = new Set(toolsOf(json).flatMap((tool) => serverToolOf(tool)?.kind ?? []))
  if (asObject(json.web_search_options) !== null) kinds.add('web_search')
  return [...kinds].map((kind) => serverTool(kind, model))
}

export function serverTool(kind: string, model: string): ServerTool {
  return {
    kind,
    uses: kind === 'web_search' && generation(model) >= 3 ? QUERIES_MAX : 1,
    addsInput: true,
    billedByUse: kind === 'web_search',
  }
}

/** Neither a function nor a tool of Google's; the index of the first, or -1. */
export function unknownTool(json: Json): number {
  const tools: unknown[] = Array.isArray(json.tools) ? json.tools : []
  return tools.findIndex((value) => {
    const tool = asObject(value)
    return tool === null || (functionOf(tool) === null && serverToolOf(tool) === undefined)
  })
}

function functionOf(tool: Json): Json | null {
  return tool.type === 'function' || tool.type === undefined ? asObject(tool.function) : null
}

/** `tools` and `toolConfig` of the request; nothing where there are no tools. */
export function translateTools(json: Json, model: string): Json {
  const choice = readChoice(json.tool_choice)
  const declarations = toolsOf(json)
    .map(functionOf)
    .filter((declared) => declared !== null)
    .filter((declared) => choice.mode !== 'AUTO' || choice.only === null || choice.only.has(textOf(declared.name)))
    .map(declaration)
  const kinds = new Set(googleServerTools(json, model).map(({ kind }) => kind))
  const tools: Json[] = SERVER_TOOLS.filter(({ kind }) => kinds.has(kind)).map(({ gemini }) => ({ [gemini]: {} }))
  if (declarations.length > 0) tools.push({ functionDeclarations: declarations })
  if (tools.length === 0) return {}
  const mixes = declarations.length > 0 && tools.length > 1 && generation(model) >= 3
  const config = {
    ...(declarations.length > 0 && json.tool_choice !== undefined && json.tool_choice !== null
      ? { functionCallingConfig: callingConfig(choice) }
      : {}),
    ...(mixes ? { includeServerSideToolInvocations: true } : {}),
  }
  return { tools, ...(Object.keys(config).length === 0 ? {} : { toolConfig: config }) }
}

/** Schemas go where JSON Schema is taken as it is: `parameters` takes a subset of OpenAPI's and refuses the rest. */
function declaration({ name, description, parameters }: Json): Json {
  return {
    name,
    ...(typeof description === 'string' && description !== '' ? { description } : {}),
    ...(asObject(parameters) === null ? {} : { parametersJsonSchema: parameters }),
  }
}

interface Choice {
  mode: 'AUTO' | 'NONE' | 'ANY'
  only: ReadonlySet<string> | null
}

/** Which functions may be called is Gemini's to enforce only where one must be; else the others are not declared. */
function callingConfig({ mode, only }: Choice): Json {
  return { mode, ...(mode === 'ANY' && only !== null ? { allowedFunctionNames: [...only] } : {}) }
}

function readChoice(value: unknown): Choice {
  if (value === 'none') return { mode: 'NONE', only: null }
  if (value === 'required' || value === 'any') return { mode: 'ANY', only: null }
  const choice = asObject(value)
  if (choice?.type === 'allowed_tools') {
    const allowed = asObject(choice.allowed_tools) ?? {}
    return { mode: allowed.mode === 'required' ? 'ANY' : 'AUTO', only: new Set(namesOf(allowed.tools)) }
  }
  if (choice?.type === 'function') return { mode: 'ANY', only: new Set(namesOf([choice])) }
  return { mode: 'AUTO', only: null }
}

function namesOf(tools: unknown): string[] {
  return (Array.isArray(tools) ? tools : []).flatMap((tool) => {
    const name = asObject(asObject(tool)?.function)?.name
    return typeof name === 'string' ? [name] : []
  })
}

/** A choice in words Gemini has; what is left out or null is one. */
export function isKnownChoice(value: unknown): boolean {
  if (value === undefined || value === null) return true
  if (typeof value === 'string') return ['none', 'auto', 'required', 'any'].includes(value)
  const choice = asObject(value)
  if (choice?.type === 'allowed_tools') return namesOf(asObject(choice.allowed_tools)?.tools).length > 0
  return choice?.type === 'function' && namesOf([choice]).length === 1
}
