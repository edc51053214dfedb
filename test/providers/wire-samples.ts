/**
 * Answers in every provider's own words, written by us: what was said, as that provider would put it on the wire, with the oddities
 * its kind is known for. For tests that hold for all providers of the registry.
 */

import { NO_CUTS } from '../../providers/cut-texts.ts'
import { objectMembers } from '../../providers/json-members.ts'
import type { ResponseContext } from '../../providers/provider.ts'
import { NO_USAGE, type Usage } from '../../providers/usage.ts'
import { eventMessage } from '../support/aws.ts'

export interface Said {
  thoughts: readonly string[]
  text: readonly string[]
  tool: { name: string; arguments: string } | null
  finish: 'stop' | 'length' | 'tool_calls'
  counts: Counts
}

/** Disjoint, but for `reasoning`, which is inside `output`. */
export interface Counts {
  input: number
  cacheRead: number
  cacheWrite: number
  output: number
  reasoning: number
}

/** What a server may do to a stream without meaning anything by it. */
export interface Quirks {
  lineEnd: '\n' | '\r\n'
  /** Between `data:` and the JSON. */
  space: boolean
  comments: number
  /** [DONE] at the end. */
  done: boolean
  /** Where usage stands. Nowhere: nobody stated it. */
  usage: readonly ('finish' | 'own frame' | 'x_groq')[]
  /** The finish reason again, in a frame that says nothing else. */
  finishTwice: boolean
  /** The finish reason in the last frame with text already. */
  finishEarly: boolean
  /** The role in every frame. */
  repeatRole: boolean
}

/** Most of it at once. */
export const ODD: Quirks = {
  lineEnd: '\r\n',
  space: true,
  comments: 2,
  done: true,
  usage: ['finish', 'own frame'],
  finishTwice: true,
  finishEarly: false,
  repeatRole: true,
}

export interface Wire {
  stream(said: Said, quirks: Quirks): Buffer
  answer(said: Said): Buffer
  /** A whole answer around a usage object, which may be anything. */
  answerWith(usage: unknown): Buffer
  usage(counts: Counts): Record<string, unknown>
  /** What `usage(counts)` means. */
  meaning(counts: Counts): Usage
}

export const MODEL = 'sample-1'

/** Who is not named here speaks OpenAI's dialect as OpenAI does. */
export function wireOf(provider: string): Wire {
  if (provider === 'anthropic') return anthropicWire
  if (provider === 'bedrock') return converseWire
  if (provider === 'gemini' || provider === 'vertex_ai') return geminiWire
  return openAiWire(OPENAI_USAGE[provider] ?? openAiUsage)
}

/** The name a caller asks for; the provider's own is another. */
export const ASKED = 'asked-for'

export function contextFor(stream: boolean): ResponseContext {
  const json = { model: ASKED, messages: [{ role: 'user', content: 'Hello' }], stream }
  const text = Buffer.from(JSON.stringify(json))
  const members = objectMembers(text)
  const request = {
    text,
    members,
    json,
    model: ASKED,
    stream,
    includeUsage: stream,
    choices: 1,
    outputCap: null,
    strangers: [],
    cuts: NO_CUTS,
  }
  const callId = '0199f0a0-0000-7000-8000-000000000001'
  return { request, model: MODEL, choices: 1, callId, created: 1_700_000_000 }
}

type UsageOf = (counts: Counts) => Record<string, unknown>

const openAiUsage: UsageOf = ({ input, cacheRead, cacheWrite, output, reasoning }) => ({
  prompt_tokens: input + cacheRead + cacheWrite,
  completion_tokens: output,
  total_tokens: input + cacheRead + cacheWrite + output,
  prompt_tokens_details: { cached_tokens: cacheRead, cache_write_tokens: cacheWrite },
  completion_tokens_details: { reasoning_tokens: reasoning },
})

const OPENAI_USAGE: Readonly<Record<string, UsageOf>> = {
  groq: (counts) => ({ queue_time: 0.02, ...openAiUsage(counts), total_time: 0.5 }),
  openrouter: (counts) => ({ ...openAiUsage(counts), cost: 0.00125, is_byok: false, cost_details: null }),
  // Reasoning stands beside the completion, inside the total.
  xai: (counts) => ({
    ...openAiUsage(counts),
    completion_tokens: counts.output - counts.reasoning,
    cost_in_usd_ticks: 12_500_000,
  }),
}

const plainMeaning = ({ input, cacheRead, cacheWrite, output, reasoning }: Counts): Usage => ({
  ...NO_USAGE,
  input,
  cacheRead,
  cacheWrite5m: cacheWrite,
  output,
  reasoning,
})

function openAiWire(usage: UsageOf): Wire {
  const head = { id: 'chatcmpl-1', created: 1_700_000_000, model: MODEL }
  const chunk = (rest: object) => ({ ...head, object: 'chat.completion.chunk', ...rest })
  const delta = (value: object, finish_reason: string | null = null) => ({
    choices: [{ index: 0, delta: value, logprobs: null, finish_reason }],
  })
  return {
    usage,
    meaning: plainMeaning,
    stream(said, quirks) {
      const stated = usage(said.counts)
      const call = said.tool && { index: 0, id: 'call_1', type: 'function', function: said.tool }
      const role = quirks.repeatRole ? { role: 'assistant' } : {}
      const early = (index: number) => (quirks.finishEarly && index === said.text.length - 1 ? said.finish : null)
      const frames: object[] = [
        chunk(delta({ role: 'assistant', content: '' })),
        ...said.thoughts.map((reasoning_content) => chunk(delta({ ...role, reasoning_content }))),
        ...said.text.map((content, index) => chunk(delta({ ...role, content }, early(index)))),
        ...(call === null ? [] : [chunk(delta({ tool_calls: [call] }))]),
        chunk({
          ...delta(role, said.finish),
          ...(quirks.usage.includes('finish') ? { usage: stated } : {}),
          ...(quirks.usage.includes('x_groq') ? { x_groq: { id: 'req_1', usage: stated } } : {}),
        }),
        ...(quirks.finishTwice ? [chunk(delta({ ...role, content: '' }, said.finish))] : []),
        ...(quirks.usage.includes('own frame') ? [chunk({ choices: [], usage: stated })] : []),
      ]
      return sse([...frames, ...(quirks.done ? ['[DONE]'] : [])], quirks)
    },
    answer(said) {
      const message = {
        role: 'assistant',
        content: said.text.join(''),
        ...(said.tool === null ? {} : { tool_calls: [{ id: 'call_1', type: 'function', function: said.tool }] }),
      }
      const choices = [{ index: 0, message, finish_reason: said.finish }]
      return json({ ...head, object: 'chat.completion', choices, usage: usage(said.counts) })
    },
    answerWith: (stated) =>
      json({
        ...head,
        object: 'chat.completion',
        choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
        usage: stated,
      }),
  }
}

const CLAUDE_ENDS = { stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use' }

const claudeUsage: UsageOf = ({ input, cacheRead, cacheWrite, output, reasoning }) => ({
  input_tokens: input,
  cache_read_input_tokens: cacheRead,
  cache_creation_input_tokens: cacheWrite,
  cache_creation: { ephemeral_5m_input_tokens: cacheWrite, ephemeral_1h_input_tokens: 0 },
  output_tokens: output,
  output_tokens_details: { thinking_tokens: reasoning },
})

const claudeMessage = { id: 'msg_1', type: 'message', role: 'assistant', model: MODEL }

/** A block of content as a stream tells it. */
function claudeBlock(index: number, block: object, deltas: readonly object[]): object[] {
  return [
    { type: 'content_block_start', index, content_block: block },
    ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
    { type: 'content_block_stop', index },
  ]
}

const anthropicWire: Wire = {
  usage: claudeUsage,
  meaning: plainMeaning,
  stream(said, quirks) {
    const blocks: ((index: number) => object[])[] = []
    if (said.thoughts.length > 0) {
      const deltas = said.thoughts.map((thinking) => ({ type: 'thinking_delta', thinking }))
      const signed = [...deltas, { type: 'signature_delta', signature: 'c2lnbmVk' }]
      blocks.push((index) => claudeBlock(index, { type: 'thinking', thinking: '', signature: '' }, signed))
    }
    const words = said.text.map((text) => ({ type: 'text_delta', text }))
    blocks.push((index) => claudeBlock(index, { type: 'text', text: '' }, words))
    const { tool } = said
    if (tool !== null) {
      const input = [{ type: 'input_json_delta', partial_json: tool.arguments }]
      blocks.push((index) => claudeBlock(index, { type: 'tool_use', id: 'toolu_1', name: tool.name, input: {} }, input))
    }
    const usage = claudeUsage(said.counts)
    const started = { ...usage, output_tokens: Math.min(1, said.counts.output) }
    const events = [
      { type: 'message_start', message: { ...claudeMessage, content: [], stop_reason: null, usage: started } },
      { type: 'ping' },
      ...blocks.flatMap((block, index) => block(index)),
      { type: 'message_delta', delta: { stop_reason: CLAUDE_ENDS[said.finish], stop_sequence: null }, usage },
      { type: 'message_stop' },
    ]
    return sse(events, quirks, (event) => `event: ${(event as { type: string }).type}${quirks.lineEnd}`)
  },
  answer(said) {
    const content: object[] = [{ type: 'text', text: said.text.join('') }]
    const { tool } = said
    if (tool !== null)
      content.push({ type: 'tool_use', id: 'toolu_1', name: tool.name, input: JSON.parse(tool.arguments) })
    return json({ ...claudeMessage, content, stop_reason: CLAUDE_ENDS[said.finish], usage: claudeUsage(said.counts) })
  },
  answerWith: (usage) =>
    json({ ...claudeMessage, content: [{ type: 'text', text: 'Hello' }], stop_reason: 'end_turn', usage }),
}

/** Four addends; what was cached is inside the prompt, and writing a cache is not billed. */
const geminiUsage: UsageOf = ({ input, cacheRead, cacheWrite, output, reasoning }) => ({
  promptTokenCount: input + cacheRead + cacheWrite,
  cachedContentTokenCount: cacheRead,
  candidatesTokenCount: output - reasoning,
  thoughtsTokenCount: reasoning,
  totalTokenCount: input + cacheRead + cacheWrite + output,
})

function geminiFrame(parts: readonly object[], usageMetadata: unknown, finishReason?: string): object {
  const candidate = { index: 0, content: { role: 'model', parts }, ...(finishReason ? { finishReason } : {}) }
  return { candidates: [candidate], usageMetadata, modelVersion: MODEL, responseId: 'r1' }
}

function geminiEnd({ finish }: Said): string {
  return finish === 'length' ? 'MAX_TOKENS' : 'STOP'
}

function geminiCall({ tool }: Said): object[] {
  return tool === null ? [] : [{ functionCall: { name: tool.name, args: JSON.parse(tool.arguments) } }]
}

/** Bedrock's Converse, which models of every maker but Anthropic's are asked by. */
const converseUsage: UsageOf = ({ input, cacheRead, cacheWrite, output }) => ({
  inputTokens: input,
  outputTokens: output,
  totalTokens: input + cacheRead + cacheWrite + output,
  cacheReadInputTokens: cacheRead,
  cacheWriteInputTokens: cacheWrite,
})
const CONVERSE_ENDS = { stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use' }

const converseWire: Wire = {
  usage: converseUsage,
  meaning: (counts) => plainMeaning({ ...counts, reasoning: 0 }),
  stream(said) {
    const event = (name: string, body: object) =>
      eventMessage({ ':event-type': name, ':message-type': 'event' }, JSON.stringify({ ...body, p: 'abc' }))
    const deltas = (contentBlockIndex: number, list: readonly object[]) => [
      ...list.map((delta) => event('contentBlockDelta', { contentBlockIndex, delta })),
      event('contentBlockStop', { contentBlockIndex }),
    ]
    const { tool } = said
    const start = { toolUse: { toolUseId: 'tooluse_1', name: tool?.name } }
    return Buffer.concat([
      event('messageStart', { role: 'assistant' }),
      ...deltas(
        0,
        said.thoughts.map((text) => ({ reasoningContent: { text } })),
      ),
      ...deltas(
        1,
        said.text.map((text) => ({ text })),
      ),
      ...(tool === null ? [] : [event('contentBlockStart', { contentBlockIndex: 2, start })]),
      ...(tool === null ? [] : deltas(2, [{ toolUse: { input: tool.arguments } }])),
      event('messageStop', { stopReason: CONVERSE_ENDS[said.finish] }),
      event('metadata', { usage: converseUsage(said.counts), metrics: { latencyMs: 9 } }),
    ])
  },
  answer(said) {
    const { tool } = said
    const input = tool === null ? {} : JSON.parse(tool.arguments)
    const call = tool === null ? [] : [{ toolUse: { toolUseId: 'tooluse_1', name: tool.name, input } }]
    return converseAnswer(
      [{ text: said.text.join('') }, ...call],
      converseUsage(said.counts),
      CONVERSE_ENDS[said.finish],
    )
  },
  answerWith: (usage) => converseAnswer([{ text: 'Hello' }], usage, 'end_turn'),
}

function converseAnswer(content: readonly object[], usage: unknown, stopReason: string): Buffer {
  return json({ output: { message: { role: 'assistant', content } }, stopReason, usage, metrics: { latencyMs: 9 } })
}

const geminiWire: Wire = {
  usage: geminiUsage,
  meaning: (counts) => plainMeaning({ ...counts, input: counts.input + counts.cacheWrite, cacheWrite: 0 }),
  stream(said, quirks) {
    const usage = geminiUsage(said.counts)
    const running = { ...usage, candidatesTokenCount: 0, totalTokenCount: usage.promptTokenCount }
    const frames = [
      ...said.thoughts.map((text) => geminiFrame([{ text, thought: true }], running)),
      ...said.text.map((text, index) =>
        quirks.finishEarly && index === 0 ? geminiFrame([{ text }], running, 'STOP') : geminiFrame([{ text }], running),
      ),
      geminiFrame(geminiCall(said), usage, geminiEnd(said)),
    ]
    return sse(frames, quirks)
  },
  answer: (said) =>
    json(geminiFrame([{ text: said.text.join('') }, ...geminiCall(said)], geminiUsage(said.counts), geminiEnd(said))),
  answerWith: (usage) => json(geminiFrame([{ text: 'Hello' }], usage, 'STOP')),
}

/** Events as a server sends them; comments come before them, one by one, as long as there are any. */
function sse(
  events: readonly (object | string)[],
  quirks: Quirks,
  name: (event: object | string) => string = () => '',
) {
  const { lineEnd, space, comments } = quirks
  const lines = events.map((event, index) => {
    const comment = index < comments ? `: busy${lineEnd}${lineEnd}` : ''
    const data = typeof event === 'string' ? event : JSON.stringify(event)
    return `${comment}${name(event)}data:${space ? ' ' : ''}${data}${lineEnd}${lineEnd}`
  })
  return Buffer.from(lines.join(''))
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}
