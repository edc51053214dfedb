/**
 * A chat completion as a request of Bedrock's Converse, which asks models of many makers in one dialect: texts, functions and their
 * results. One walk both translates and says what can't be expressed, so that what is refused and what is sent can't differ.
 */
import { createCallIds } from '../anthropic/call-ids.ts'
import { textOf } from '../anthropic/parts.ts'
import { toolSchema } from '../anthropic/schema.ts'
import { parseExactJson } from '../exact-json.ts'
import { asObject, parseJson } from '../json.ts'
import type { ProviderCall, Refusal } from '../provider.ts'

type Json = Readonly<Record<string, unknown>>
type Block = Json

interface Turn {
  role: 'user' | 'assistant'
  content: Block[]
}

export interface Translation {
  body: Json
  refusals: readonly Refusal[]
}

export function prepareConverse(call: ProviderCall): Buffer {
  const json: Record<string, unknown> = { ...call.defaults, ...call.request.json }
  for (const member of call.drop) delete json[member]
  return Buffer.from(JSON.stringify(translateConverse(json, call.outputCap).body))
}

/** `cap`: ours, which bounds the others; null for the caller's own. */
export function translateConverse(json: Json, cap: number | null): Translation {
  const refusals: Refusal[] = []
  const refuse = (param: string, message: string, droppable = false) => refusals.push({ param, message, droppable })
  const { system, turns } = conversationOf(json.messages, refuse)
  const inferenceConfig = samplingOf(json, cap)
  const toolConfig = toolsOf(json, turns, refuse)
  for (const [name, value] of Object.entries(json)) {
    if (KNOWN.has(name) || value === null || isNeutral(name, value)) continue
    refuse(name, `Bedrock's Converse can't honour '${name}'. Leave it out.`, true)
  }
  const body = {
    ...(system.length === 0 ? {} : { system }),
    messages: turns,
    ...(Object.keys(inferenceConfig).length === 0 ? {} : { inferenceConfig }),
    ...(toolConfig === null ? {} : { toolConfig }),
  }
  return { body, refusals }
}

type Refuse = (param: string, message: string, droppable?: boolean) => void

/** What stands before the first turn is the system's; later it is said in its place, as a text of the user's. */
function conversationOf(messages: unknown, refuse: Refuse): { system: Block[]; turns: Turn[] } {
  const system: Block[] = []
  const turns: Turn[] = []
  const ids = createCallIds()
  const say = (role: Turn['role'], blocks: readonly Block[]) => {
    const last = turns.at(-1)
    if (blocks.length === 0) return
    if (last?.role === role) last.content.push(...blocks)
    else turns.push({ role, content: [...blocks] })
  }
  const list: unknown[] = Array.isArray(messages) ? messages : []
  for (const [index, value] of list.entries()) {
    const message = asObject(value) ?? {}
    const texts = textBlocks(message.content, `messages[${index}].content`, refuse)
    if (message.role === 'system' || message.role === 'developer') {
      if (turns.length === 0) system.push(...texts)
      else
        say(
          'user',
          texts.map(({ text }) => ({ text: `<system>${String(text)}</system>` })),
        )
    } else if (message.role === 'assistant') {
      const calls: unknown[] = Array.isArray(message.tool_calls) ? message.tool_calls : []
      if (calls.length > 0) ids.begin(index)
      say('assistant', [...texts, ...calls.map((call) => ({ toolUse: toolUse(call, ids.ask) }))])
    } else if (message.role === 'tool') {
      const id = typeof message.tool_call_id === 'string' ? message.tool_call_id : ''
      const content = texts.length === 0 ? [{ text: ' ' }] : texts
      say('user', [{ toolResult: { toolUseId: ids.answer(id), content } }])
    } else say('user', texts)
  }
  // Models here have to be asked something, and by the user.
  if (turns[0]?.role !== 'user')
    refuse('messages', 'The first message after those of the system has to be of the user.')
  return { system, turns }
}

function textBlocks(content: unknown, path: string, refuse: Refuse): Block[] {
  if (Array.isArray(content))
    for (const [index, part] of content.entries()) {
      const type = asObject(part)?.type
      if (typeof part !== 'string' && type !== 'text' && type !== 'refusal' && type !== 'input_text')
        refuse(`${path}[${index}]`, 'Models on Bedrock other than Claude take texts here.')
    }
  const text = textOf(content)
  return text.trim() === '' ? [] : [{ text }]
}

function toolUse(value: unknown, idOf: (id: string) => string): Json {
  const call = asObject(value) ?? {}
  const { name = '', arguments: text } = asObject(call.function) ?? {}
  const written = typeof text === 'string' && asObject(parseJson(text)) !== null ? parseExactJson(text) : {}
  return { toolUseId: idOf(typeof call.id === 'string' ? call.id : ''), name, input: written }
}

function samplingOf(json: Json, cap: number | null): Record<string, unknown> {
  const own = [json.max_completion_tokens, json.max_tokens].filter((value) => typeof value === 'number')
  const most = cap ?? (own.length === 0 ? null : Math.max(...own))
  const stops = [json.stop].flat().filter((stop) => typeof stop === 'string' && stop !== '')
  return {
    ...(most === null ? {} : { maxTokens: most }),
    ...(typeof json.temperature === 'number' ? { temperature: Math.min(1, json.temperature) } : {}),
    ...(typeof json.top_p === 'number' ? { topP: json.top_p } : {}),
    ...(stops.length === 0 ? {} : { stopSequences: stops }),
  }
}

/** Functions have to be told as long as the conversation has calls of them. */
function toolsOf(json: Json, turns: readonly Turn[], refuse: Refuse): Json | null {
  const listed: unknown[] = Array.isArray(json.tools) ? json.tools : []
  const tools = listed.flatMap((tool, index) => {
    const { name, description, parameters } = asObject(asObject(tool)?.function) ?? {}
    const schema = toolSchema(parameters)
    if (typeof name !== 'string' || schema === null) {
      refuse(`tools[${index}]`, 'Models on Bedrock other than Claude take functions, whose parameters are one object.')
      return []
    }
    const told = typeof description === 'string' && description !== '' ? { description } : {}
    return [{ toolSpec: { name, ...told, inputSchema: { json: schema } } }]
  })
  if (tools.length === 0) return null
  const { tool_choice: choice } = json
  const hasCalls = turns.some(({ content }) => content.some((block) => block.toolUse !== undefined))
  if (choice === 'none' && !hasCalls) return null
  if (choice === 'none') refuse('tool_choice', "After calls, Bedrock's Converse knows no tool_choice 'none'.", true)
  const named = asObject(asObject(choice)?.function)?.name
  const toolChoice = typeof named === 'string' ? { tool: { name: named } } : choice === 'required' ? { any: {} } : null
  return { tools, ...(toolChoice === null ? {} : { toolChoice }) }
}

const KNOWN = new Set([
  ...['model', 'messages', 'stream', 'stream_options', 'max_tokens', 'max_completion_tokens', 'stop', 'temperature'],
  ...['top_p', 'tools', 'tool_choice', 'user', 'safety_identifier', 'metadata', 'prompt_cache_key'],
  ...['power_level', 'task_type', 'privacy_required', 'prompt_cache_retention'],
])

/** What a member may say without asking for anything. */
function isNeutral(name: string, value: unknown): boolean {
  if (name === 'n') return value === 1
  if (name === 'presence_penalty' || name === 'frequency_penalty' || name === 'top_logprobs') return value === 0
  if (name === 'store' || name === 'logprobs') return value === false
  if (name === 'parallel_tool_calls') return value === true
  if (name === 'service_tier') return value === 'auto' || value === 'default'
  if (name === 'response_format') return asObject(value)?.type === 'text'
  return name === 'modalities' && Array.isArray(value) && value.every((kind) => kind === 'text')
}
