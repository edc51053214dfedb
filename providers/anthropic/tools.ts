/** Tools, the choice among them, and responses in a form: OpenAI's members as Claude's. */

import { asObject } from '../json.ts'
import type { ServerTool } from '../provider.ts'
import type { ClaudeModel } from './models.ts'
import { type PartContext, withCacheHint } from './parts.ts'
import { strictSchema, toolSchema } from './schema.ts'

type Members = Readonly<Record<string, unknown>>

/** On models without structured output a response in a form is the call of this tool; its arguments are the content. */
export const FORM_TOOL = 'tollgate_answer'

/** Tools Anthropic runs, in its own form, by the name their version is cut from. */
const SERVER_TOOL = /^(web_search|web_fetch|code_execution|advisor|tool_search_tool_\w+|mcp_toolset)(?:_\d{8})?$/

/** Tools of the caller's own, those whose form Anthropic defines among them. What is neither runs where nobody sees what it reads. */
const CALLERS_TOOL = /^(?:function|custom|bash|text_editor|computer|memory)(?:_\d{8})?$/

/** What a search finds is bounded by nothing in the request; Claude searches a few times where no limit is set. */
const USES = 10
const SEARCHES: Readonly<Record<string, number>> = { low: 1, medium: 5, high: 10 }

/** Tools of Anthropic's own that the request can trigger; each adds input that nothing in the request bounds. */
export function claudeServerTools(json: Members): readonly ServerTool[] {
  const tools = new Map<string, number>()
  for (const tool of Array.isArray(json.tools) ? json.tools : []) {
    const entry = asObject(tool)
    const kind = kindOf(entry?.type)
    if (kind === null) continue
    const uses = Number.isSafeInteger(entry?.max_uses) && Number(entry?.max_uses) > 0 ? Number(entry?.max_uses) : USES
    tools.set(kind, (tools.get(kind) ?? 0) + uses)
  }
  const search = searchTool(json.web_search_options)
  if (search !== null && !tools.has('web_search')) tools.set('web_search', search.max_uses)
  if (Array.isArray(json.mcp_servers) && json.mcp_servers.length > 0) tools.set('mcp', USES)
  if (isCompacted(json)) tools.set('context_management', 1)
  return [...tools].map(([kind, uses]) => ({ kind, uses, addsInput: true, billedByUse: kind === 'web_search' }))
}

/** Null for a tool of the caller's own. */
function kindOf(type: unknown): string | null {
  if (typeof type !== 'string' || CALLERS_TOOL.test(type)) return null
  return SERVER_TOOL.exec(type)?.[1] ?? type.replace(/_\d{8}$/, '').slice(0, 64)
}

/** What is cleared from the context is not read; what is compacted is read once more, and written. */
function isCompacted({ context_management: management, compaction }: Members): boolean {
  const edits = asObject(management)?.edits
  const types = (Array.isArray(edits) ? edits : []).map((edit) => asObject(edit)?.type)
  return asObject(compaction) !== null || types.some((type) => typeof type !== 'string' || !type.startsWith('clear_'))
}

/** Models that an advisor tool of the request consults. */
export function advisors(json: Members): string[] {
  const tools: unknown[] = Array.isArray(json.tools) ? json.tools : []
  return tools
    .map(asObject)
    .filter((tool) => typeof tool?.type === 'string' && tool.type.startsWith('advisor_'))
    .map((tool) => tool?.model)
    .filter(isText)
}

function searchesOf(size: unknown): number {
  return (typeof size === 'string' && Object.hasOwn(SEARCHES, size) ? SEARCHES[size] : undefined) ?? 5
}

function searchTool(options: unknown): ({ max_uses: number } & Members) | null {
  const asked = asObject(options)
  if (asked === null) return null
  const place = asObject(asObject(asked.user_location)?.approximate) ?? asObject(asked.user_location)
  return {
    type: 'web_search_20250305',
    name: 'web_search',
    max_uses: searchesOf(asked.search_context_size),
    ...(place === null ? {} : { user_location: { ...place, type: 'approximate' } }),
  }
}

export interface ToolMembers {
  tools?: Members[]
  tool_choice?: Members
}

/** `tools` and `tool_choice`, out of OpenAI's members, the older `functions` among them. */
export function toolMembers(json: Members, model: ClaudeModel, context: PartContext): ToolMembers {
  const listed: unknown[] = Array.isArray(json.tools) ? json.tools : []
  const legacy: unknown[] = Array.isArray(json.functions) ? json.functions : []
  const tools = [
    ...listed.map((tool, index) => readTool(tool, `tools[${index}]`, model, context)),
    ...legacy.map((fn, index) => readFunction({}, asObject(fn) ?? {}, `functions[${index}]`, model, context)),
  ].filter((tool) => tool !== null)
  const search = searchTool(json.web_search_options)
  if (search !== null && !tools.some((tool) => tool.name === search.name)) tools.push(search)
  if (tools.length === 0) return {}
  const { choice, only } = readChoice(json, model, context)
  const kept = only === null ? tools : tools.filter((tool) => typeof tool.name === 'string' && only.has(tool.name))
  if (kept.length === 0) return {}
  return { tools: kept, ...(choice === null ? {} : { tool_choice: choice }) }
}

/** Beta features by the tool that needs them; others are the operator's to name in `anthropic-beta`. */
const BETAS: readonly (readonly [RegExp, string])[] = [
  [/^code_execution_20250522$/, 'code-execution-2025-05-22'],
  [/^code_execution_20250825$/, 'code-execution-2025-08-25'],
  [/^web_fetch_20250910$/, 'web-fetch-2025-09-10'],
  [/^advisor_20260301$/, 'advisor-tool-2026-03-01'],
]

function readTool(value: unknown, path: string, model: ClaudeModel, context: PartContext): Members | null {
  const tool = asObject(value) ?? {}
  const fn = asObject(tool.function)
  if (fn !== null) return readFunction(tool, fn, `${path}.function`, model, context)
  if (typeof tool.type === 'string' && SERVER_TOOL.test(tool.type)) {
    for (const [pattern, beta] of BETAS) if (pattern.test(tool.type)) context.betas.add(beta)
    return tool
  }
  context.refuse(path, 'Claude takes tools of type function, and its own web_search, web_fetch and code_execution.')
  return null
}

function readFunction(
  tool: Members,
  fn: Members,
  path: string,
  model: ClaudeModel,
  context: PartContext,
): Members | null {
  const schema = toolSchema(fn.parameters)
  if (schema === null) {
    context.refuse(
      `${path}.parameters`,
      'Claude takes tool parameters that are one object: no anyOf, oneOf, allOf at the top.',
    )
    return null
  }
  const strict = fn.strict === true && model.structuredOutput ? strictSchema(schema) : null
  const definition: Record<string, unknown> = { name: fn.name, input_schema: strict ?? schema }
  if (typeof fn.description === 'string' && fn.description !== '') definition.description = fn.description
  if (strict !== null) definition.strict = true
  return withCacheHint(withCacheHint(definition, fn), tool)
}

interface Choice {
  choice: Members | null
  /** The tools that may be called, where not all of them may. */
  only: ReadonlySet<string> | null
}

function readChoice(json: Members, model: ClaudeModel, { refuse }: PartContext): Choice {
  const asked = json.tool_choice ?? json.function_call ?? null
  const object = asObject(asked)
  const subset = asObject(object?.allowed_tools)
  const only = subset === null ? null : new Set(namesOf(subset.tools))
  const mode = subset === null ? asked : subset.mode
  const name = object === null ? null : (asObject(object.function)?.name ?? object.name ?? null)
  const choice: Record<string, unknown> = { type: 'auto' }
  if (mode === 'none') return { choice: { type: 'none' }, only }
  if (mode === 'required' || mode === 'any') choice.type = 'any'
  else if (typeof name === 'string') Object.assign(choice, { type: 'tool', name })
  if (choice.type !== 'auto' && model.rejectsForcedTools) {
    const member = 'tool_choice' in json ? 'tool_choice' : 'function_call'
    refuse(member, "This model can't be made to call a tool. Ask for 'auto'.", true)
    return { choice: null, only }
  }
  if (json.parallel_tool_calls === false) choice.disable_parallel_tool_use = true
  const isDefault = choice.type === 'auto' && asked === null && json.parallel_tool_calls !== false
  return { choice: isDefault ? null : choice, only }
}

function namesOf(tools: unknown): string[] {
  const entries: unknown[] = Array.isArray(tools) ? tools : []
  return entries.map((tool) => asObject(asObject(tool)?.function)?.name ?? asObject(tool)?.name).filter(isText)
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

export interface Form {
  /** For `output_config.format`. */
  format?: Members
  /** The tool whose call is the response. */
  tool?: Members
  /** Said to the model. */
  instruction?: string
}

const JSON_ONLY =
  'Answer with one valid JSON object and nothing else: no Markdown fences, no text before it and none behind it.'

/** `response_format`. */
export function readForm(json: Members, model: ClaudeModel, { refuse }: PartContext): Form {
  const asked = asObject(json.response_format)
  if (asked === null || asked.type === 'text') return {}
  if (asked.type === 'json_object') return { instruction: JSON_ONLY }
  const named = asObject(asked.json_schema)
  const stated = asObject(named?.schema)
  if (asked.type !== 'json_schema' || named === null) {
    refuse('response_format', 'Claude takes response_format text, json_object and json_schema.', true)
    return {}
  }
  if (stated === null) return { instruction: JSON_ONLY }
  const schema = model.structuredOutput ? strictSchema(stated) : null
  if (schema !== null) return { format: { type: 'json_schema', schema } }
  const input = toolSchema(stated)
  // An open schema, or one that is no object: the model is told.
  if (input === null || model.rejectsForcedTools) {
    return { instruction: `${JSON_ONLY} It must be valid against this JSON schema: ${JSON.stringify(stated)}` }
  }
  const description = typeof named.description === 'string' ? named.description : 'Gives the answer, in this form.'
  return { tool: { name: FORM_TOOL, description, input_schema: input } }
}
