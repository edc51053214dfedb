/**
 * Turns a request for a response into a chat completion request. Members that do not change the response are left out silently: cache
 * hints, metadata, what to keep or include. What other providers can't honour is refused by name.
 */
import { asObject } from '../../../../providers/json.ts'
import { unservedMembers } from '../../../../providers/openai-responses/refusals.ts'
import { unsupported } from '../../read-members.ts'
import { chatMessages } from './chat-messages.ts'
import { type ChatTools, chatTools, functionName, list, onlyOpenAi } from './tool-names.ts'

type Json = Readonly<Record<string, unknown>>

/** Members without a meaning for other providers. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  ...[
    'store',
    'include',
    'metadata',
    'client_metadata',
    'user',
    'safety_identifier',
    'prompt_cache_key',
    'service_tier',
  ],
  ...['prompt_cache_retention', 'prompt_cache_options', 'stream_options', 'truncation', 'max_tool_calls', 'background'],
  ...['context_management', 'image', 'access_programs'],
])
const TRANSLATED: ReadonlySet<string> = new Set([
  ...['input', 'instructions', 'max_output_tokens', 'tools', 'tool_choice', 'parallel_tool_calls', 'text', 'reasoning'],
  ...['model', 'stream', 'temperature', 'top_p', 'power_level', 'task_type', 'privacy_required'],
])

export interface Translated {
  chat: Json
  tools: ChatTools
}

/** @throws {TollgateError} 400. */
export function toChat(json: Json): Translated {
  const [unserved] = unservedMembers(json, false)
  if (unserved !== undefined) throw unsupported(unserved.param, unserved.message)
  for (const [name, value] of Object.entries(json)) {
    if (value === null || TRANSLATED.has(name) || LEFT_OUT.has(name)) continue
    if (name === 'top_logprobs' && value === 0) continue
    throw unsupported(name, `Only OpenAI's models can honour '${name}'. Leave it out, or ask for one of them.`)
  }
  const tools = chatTools([
    [json.tools, 'tools'],
    ...list(json.input).map((item, index) => [asObject(item)?.tools, `input[${index}].tools`] as const),
  ])
  const { model, max_output_tokens, temperature, top_p } = json
  const chosen = chatToolChoice(json.tool_choice, tools)
  const chat = {
    model,
    messages: chatMessages(json),
    max_completion_tokens: max_output_tokens,
    temperature,
    top_p,
    tools: chosen.functions.length === 0 ? undefined : chosen.functions,
    tool_choice: chosen.functions.length === 0 ? undefined : chosen.choice,
    // Parallel calls are the default.
    parallel_tool_calls: json.parallel_tool_calls === false && chosen.functions.length > 0 ? false : undefined,
    reasoning_effort: effortOf(json),
    response_format: formatOf(asObject(asObject(json.text)?.format)),
    ...(json.stream === true ? { stream: true } : {}),
  }
  const said = Object.entries(chat).filter(([, value]) => value !== undefined && value !== null)
  return { chat: Object.fromEntries(said), tools }
}

interface Chosen {
  choice?: unknown
  functions: readonly Json[]
}

/** The model is shown only the allowed tools. @throws {TollgateError} 400. */
function chatToolChoice(choice: unknown, { functions }: ChatTools): Chosen {
  if (choice === undefined || choice === null || choice === 'auto') return { functions }
  if (typeof choice === 'string') {
    if (choice === 'required' && functions.length === 0) throw onlyOpenAi({ type: choice }, 'tool_choice')
    return { choice, functions }
  }
  const asked = asObject(choice) ?? {}
  if (asked.type === 'function' || asked.type === 'custom')
    return { choice: { type: 'function', function: { name: nameIn(asked) } }, functions }
  if (asked.type !== 'allowed_tools') throw onlyOpenAi(asked, 'tool_choice')
  const allowed = new Set(list(asked.tools).map((tool) => nameIn(asObject(tool) ?? {})))
  const kept = functions.filter((one) => allowed.has(String(asObject(one.function)?.name)))
  return { ...(asked.mode === 'required' ? { choice: 'required' } : {}), functions: kept }
}

function nameIn({ name, namespace }: Json): string {
  return functionName({ name: String(name), namespace: typeof namespace === 'string' ? namespace : null })
}

const EFFORTS: Readonly<Record<string, string | undefined>> = {
  minimal: 'low',
  low: 'low',
  medium: 'medium',
  none: undefined,
}

function effortOf(json: Json): string | undefined {
  const effort = asObject(json.reasoning)?.effort
  if (typeof effort !== 'string') return undefined
  return Object.hasOwn(EFFORTS, effort) ? EFFORTS[effort] : 'high'
}

function formatOf(format: Json | null): Json | undefined {
  if (format?.type === 'json_object') return { type: 'json_object' }
  if (format?.type !== 'json_schema') return undefined
  const { name, description, schema, strict } = format
  const told = typeof description === 'string' ? { description } : {}
  return {
    type: 'json_schema',
    json_schema: { name, ...told, schema, ...(typeof strict === 'boolean' ? { strict } : {}) },
  }
}
