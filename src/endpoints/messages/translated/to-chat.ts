/**
 * Turns a message request into a chat completion request. Members that do not change the response are left out silently: cache hints,
 * metadata, edits of the context that save money at Anthropic. What other providers can't honour is refused by name.
 */
import { asObject } from '../../../../providers/json.ts'
import { unsupported } from '../../read-members.ts'
import { chatMessages } from './chat-messages.ts'

type Json = Readonly<Record<string, unknown>>

/** Members without a meaning for other providers. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  ...['metadata', 'cache_control', 'context_management', 'service_tier', 'betas', 'diagnostics', 'compaction'],
])
const TRANSLATED: ReadonlySet<string> = new Set([
  ...['messages', 'system', 'max_tokens', 'tools', 'tool_choice', 'stop_sequences', 'thinking', 'output_config'],
  ...['output_format', 'model', 'stream', 'temperature', 'top_p', 'power_level', 'task_type', 'privacy_required'],
])

/** @throws {TollgateError} 400. */
export function toChat(json: Json): Record<string, unknown> {
  for (const [name, value] of Object.entries(json)) {
    if (value === null || TRANSLATED.has(name) || LEFT_OUT.has(name)) continue
    throw unsupported(name, `Only Claude can honour '${name}'. Leave it out, or ask for a Claude model.`)
  }
  const { model, max_tokens: cap, temperature, top_p, stop_sequences: stop } = json
  const format = asObject(asObject(json.output_config)?.format) ?? asObject(json.output_format)
  const chat = {
    model,
    messages: chatMessages(json),
    // A token count states no cap.
    max_completion_tokens: typeof cap === 'number' ? Math.max(1, cap) : undefined,
    temperature,
    top_p,
    stop: Array.isArray(stop) && stop.length > 0 ? stop : undefined,
    tools: chatTools(json.tools),
    ...chatToolChoice(asObject(json.tool_choice)),
    reasoning_effort: effortOf(json),
    response_format:
      format?.type === 'json_schema'
        ? { type: 'json_schema', json_schema: { name: 'answer', schema: format.schema, strict: true } }
        : undefined,
    ...(json.stream === true ? { stream: true } : {}),
  }
  return Object.fromEntries(Object.entries(chat).filter(([, value]) => value !== undefined && value !== null))
}

function chatTools(tools: unknown): Json[] | undefined {
  if (!Array.isArray(tools) || tools.length === 0) return undefined
  return tools.map((value, index) => {
    const { type = 'custom', name, description, input_schema: parameters } = asObject(value) ?? {}
    if (type !== 'custom' && type !== null)
      throw unsupported(
        `tools[${index}]`,
        `Only Claude knows tools of type '${String(type).slice(0, 64)}'. Leave it out, or ask for a Claude model.`,
      )
    return { type: 'function', function: { name, ...(description === undefined ? {} : { description }), parameters } }
  })
}

function chatToolChoice(choice: Json | null): Json {
  if (choice === null) return {}
  const single = choice.disable_parallel_tool_use === true ? { parallel_tool_calls: false } : {}
  if (choice.type === 'any') return { tool_choice: 'required', ...single }
  if (choice.type === 'tool') return { tool_choice: { type: 'function', function: { name: choice.name } }, ...single }
  return choice.type === 'none' ? { tool_choice: 'none' } : single
}

/** Turns a budget of thinking tokens into the effort that uses about as many. */
const BUDGETS: readonly (readonly [tokens: number, effort: string])[] = [
  [2_048, 'low'],
  [8_192, 'medium'],
]
const EFFORTS: Readonly<Record<string, string>> = { low: 'low', medium: 'medium' }

function effortOf(json: Json): string | undefined {
  const thinking = asObject(json.thinking)
  if (thinking?.type === 'disabled') return undefined
  const { effort } = asObject(json.output_config) ?? {}
  if (typeof effort === 'string') return Object.hasOwn(EFFORTS, effort) ? EFFORTS[effort] : 'high'
  if (thinking?.type === 'adaptive') return 'medium'
  if (thinking?.type !== 'enabled') return undefined
  return BUDGETS.find(([tokens]) => Number(thinking.budget_tokens) <= tokens)?.[1] ?? 'high'
}
