/** What Bedrock's Converse says, whole or in events, as OpenAI says it: that dialect's readers read it. */
import { parseExactJson } from '../exact-json.ts'
import { asObject, parseJson } from '../json.ts'
import { count } from '../openai-usage.ts'
import type { ResponseContext } from '../provider.ts'
import { dataFrame } from '../sse-frames.ts'
import type { FrameOf } from './event-frames.ts'

type Json = Readonly<Record<string, unknown>>

const FINISH: Readonly<Record<string, string>> = {
  tool_use: 'tool_calls',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  guardrail_intervened: 'content_filter',
  content_filtered: 'content_filter',
}

function finishOf(reason: unknown): string {
  return (typeof reason === 'string' && Object.hasOwn(FINISH, reason) ? FINISH[reason] : undefined) ?? 'stop'
}

/** `inputTokens` leaves out what was read from or written to a cache. What is no count stays one that nobody takes for one. */
function usageOf(raw: unknown): Json | null {
  const stated = asObject(raw)
  if (stated === null) return null
  const [read, written] = [count(stated.cacheReadInputTokens) ?? 0, count(stated.cacheWriteInputTokens) ?? 0]
  const input = count(stated.inputTokens)
  return {
    prompt_tokens: input === null ? null : input + read + written,
    completion_tokens: stated.outputTokens,
    total_tokens: stated.totalTokens,
    prompt_tokens_details: { cached_tokens: read, cache_write_tokens: written },
  }
}

/** A whole response; null where it is none. */
export function asCompletion(body: Buffer, { callId, created, model }: ResponseContext): Buffer | null {
  const json = asObject(parseJson(body))
  if (json === null) return null
  // Numbers in arguments stay what they were, however long they are.
  const exact = body.includes('"toolUse"') ? asObject(parseExactJson(body.toString('utf8'))) : json
  const content = asObject(asObject(exact?.output)?.message)?.content
  if (!Array.isArray(content)) return null
  const blocks = content.map((block: unknown) => asObject(block) ?? {})
  const texts = (of: (block: Json) => unknown) =>
    blocks
      .map(of)
      .filter((text) => typeof text === 'string')
      .join('')
  const reasoning = texts(({ reasoningContent: thought }) => asObject(asObject(thought)?.reasoningText)?.text)
  const calls = blocks.flatMap(({ toolUse }) => {
    const call = asObject(toolUse)
    if (call === null) return []
    const { toolUseId: id, name, input } = call
    return [{ id, type: 'function', function: { name, arguments: JSON.stringify(input ?? {}) } }]
  })
  const text = texts((block) => block.text)
  const message = {
    role: 'assistant',
    content: text === '' && calls.length > 0 ? null : text,
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  }
  const usage = usageOf(json.usage)
  return Buffer.from(
    JSON.stringify({
      id: `chatcmpl-${callId}`,
      object: 'chat.completion',
      created,
      model,
      choices: [{ index: 0, finish_reason: finishOf(json.stopReason), message }],
      ...(usage === null ? {} : { usage }),
    }),
  )
}

const DONE = Buffer.from('data: [DONE]\n\n')

/** The events of one stream. */
export function createConverseFrames({ callId, created, model }: ResponseContext): FrameOf {
  const head = { id: `chatcmpl-${callId}`, object: 'chat.completion.chunk', created, model }
  /** Calls by the block they stand in; whether arguments came. */
  const calls = new Map<unknown, { index: number; hasInput: boolean }>()
  const chunk = (delta: Json, finish: string | null = null) =>
    dataFrame(JSON.stringify({ ...head, choices: [{ index: 0, delta, finish_reason: finish }] }))
  const called = (index: number, call: Json) => chunk({ tool_calls: [{ index, ...call }] })

  function begin(block: unknown, start: Json | null): Buffer | null {
    const call = asObject(start?.toolUse)
    if (call === null) return null
    const index = calls.size
    calls.set(block, { index, hasInput: false })
    return called(index, { id: call.toolUseId, type: 'function', function: { name: call.name, arguments: '' } })
  }

  function say(block: unknown, delta: Json): Buffer | null {
    const { text, toolUse, reasoningContent } = delta
    if (typeof text === 'string') return chunk({ content: text })
    const thought = asObject(reasoningContent)?.text
    if (typeof thought === 'string') return chunk({ reasoning_content: thought })
    const call = calls.get(block)
    const input = asObject(toolUse)?.input
    if (call === undefined || typeof input !== 'string' || input === '') return null
    call.hasInput = true
    return called(call.index, { function: { arguments: input } })
  }

  /** A call without arguments has none: its text is an empty object's. */
  function end(block: unknown): Buffer | null {
    const call = calls.get(block)
    return call === undefined || call.hasInput ? null : called(call.index, { function: { arguments: '{}' } })
  }

  return ({ name, body }) => {
    const json = asObject(parseJson(body)) ?? {}
    const { contentBlockIndex: block } = json
    if (name === 'messageStart') return chunk({ role: 'assistant', content: '' })
    if (name === 'contentBlockStart') return begin(block, asObject(json.start))
    if (name === 'contentBlockDelta') return say(block, asObject(json.delta) ?? {})
    if (name === 'contentBlockStop') return end(block)
    if (name === 'messageStop') return chunk({}, finishOf(json.stopReason))
    if (name !== 'metadata') return null
    const usage = usageOf(json.usage)
    const last = usage === null ? [] : [dataFrame(JSON.stringify({ ...head, choices: [], usage }))]
    return Buffer.concat([...last, DONE])
  }
}
