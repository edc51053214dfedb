/** What the provider of the benchmarks answers and bills, always the same: bytes made once, and what they must cost. */
import { UNSTAMPED } from './chunk-stamps.ts'
import { anthropicFrames, geminiFrames } from './dialect-frames.ts'

/**
 * `whole` and `stream`: short calls, answered at once. `paced`: a stream of 1000 chunks that each tell when they were sent. Three
 * are streams of 1000 chunks as fast as they come, in the dialects of OpenAI, Anthropic and Google. The others are a megabyte: one
 * long message, a long conversation, a long answer.
 */
const STREAM_KINDS = ['stream', 'paced', 'long-stream', 'anthropic-stream', 'gemini-stream'] as const
const WHOLE_KINDS = ['whole', 'long-message', 'long-conversation', 'long-answer'] as const
export const KINDS = [...STREAM_KINDS, ...WHOLE_KINDS] as const
export type StreamKind = (typeof STREAM_KINDS)[number]
export type Kind = (typeof KINDS)[number]

export function isStream(kind: Kind): kind is StreamKind {
  return STREAM_KINDS.some((name) => name === kind)
}

/** What clients ask for, and what it is at the provider. */
export const MODELS = {
  bench: 'openai/bench',
  'bench-anthropic': 'anthropic/claude-sonnet-4-5',
  'bench-gemini': 'gemini/gemini-2.5-flash',
} as const

function modelOf(kind: Kind): keyof typeof MODELS {
  return kind === 'anthropic-stream' ? 'bench-anthropic' : kind === 'gemini-stream' ? 'bench-gemini' : 'bench'
}

/** As stated in every answer of a kind. */
export const USAGE: Record<Kind, { prompt_tokens: number; completion_tokens: number }> = {
  whole: { prompt_tokens: 180, completion_tokens: 64 },
  stream: { prompt_tokens: 180, completion_tokens: 50 },
  paced: { prompt_tokens: 180, completion_tokens: 1_000 },
  'long-stream': { prompt_tokens: 180, completion_tokens: 1_000 },
  'anthropic-stream': { prompt_tokens: 180, completion_tokens: 1_000 },
  'gemini-stream': { prompt_tokens: 180, completion_tokens: 1_000 },
  'long-message': { prompt_tokens: 220_000, completion_tokens: 64 },
  'long-conversation': { prompt_tokens: 250_000, completion_tokens: 64 },
  'long-answer': { prompt_tokens: 180, completion_tokens: 210_000 },
}

/** Dollars a token, as config.yaml has it, and the same in nano-dollars. */
export const PRICES = { input_cost_per_token: '0.00000015', output_cost_per_token: '0.0000006' }
const NANO_DOLLARS = { input: 150n, output: 600n }

/** Microcredits of one call on the platform plan: 50 % on top. Reckoned here, apart from the product's own arithmetic. */
export function chargeOf(kind: Kind): bigint {
  const { prompt_tokens: prompt, completion_tokens: completion } = USAGE[kind]
  return ((BigInt(prompt) * NANO_DOLLARS.input + BigInt(completion) * NANO_DOLLARS.output) * 3n) / 2n
}

const CHUNKS = 50
/** Of every stream but the short one. */
export const LONG_STREAM_CHUNKS = 1_000
/** Between two of them: a hundred tokens a second. */
export const PACE_MS = 10
const MEGABYTE = 1024 * 1024
const SAYING = 'All is well that ends well. '
const HEAD = { id: 'chatcmpl-bench', created: 1_700_000_000, model: 'bench', system_fingerprint: 'fp_bench' }

export function wholeAnswer(kind: Exclude<Kind, StreamKind>): Buffer {
  const length = kind === 'long-answer' ? MEGABYTE : 9 * SAYING.length
  const message = { role: 'assistant', content: sayings(length), refusal: null }
  return Buffer.from(
    JSON.stringify({
      ...HEAD,
      object: 'chat.completion',
      choices: [{ index: 0, message, logprobs: null, finish_reason: 'stop' }],
      usage: usageOf(kind),
    }),
  )
}

/** In the dialect of the kind; the usage where it was asked for, or always. */
export function streamFrames(kind: StreamKind, includeUsage: boolean): Buffer[] {
  const usage = USAGE[kind]
  const words = Array.from({ length: kind === 'stream' ? CHUNKS : LONG_STREAM_CHUNKS }, (_, i) =>
    i === 0 ? 'One' : ' word',
  )
  if (kind === 'anthropic-stream') return anthropicFrames({ model: 'claude-sonnet-4-5', words, usage })
  if (kind === 'gemini-stream') return geminiFrames({ model: 'gemini-2.5-flash', words, usage })
  return openAiFrames(kind, words, includeUsage)
}

/** One frame each: the content, the finish, the usage, [DONE]. */
function openAiFrames(kind: StreamKind, words: readonly string[], includeUsage: boolean): Buffer[] {
  const padding = kind === 'paced' ? UNSTAMPED : {}
  const frame = (choices: unknown[], usage: unknown) => ({ ...HEAD, object: 'chat.completion.chunk', choices, usage })
  const choice = (delta: unknown, finish: string | null) => [{ index: 0, delta, logprobs: null, finish_reason: finish }]
  const usage = includeUsage ? null : undefined
  const frames: Record<string, unknown>[] = words.map((content, i) => {
    const delta = i === 0 ? { role: 'assistant', content } : { content }
    return { ...frame(choice(delta, null), usage), ...padding }
  })
  frames.push(frame(choice({}, 'stop'), usage))
  if (includeUsage) frames.push(frame([], usageOf(kind)))
  return [...frames.map((json) => JSON.stringify(json)), '[DONE]'].map((data) => Buffer.from(`data: ${data}\n\n`))
}

/** What clients send: a conversation, without a cap on the output. It tells the provider its kind, near its start. */
export function requestBody(kind: Kind): Buffer {
  const streaming = isStream(kind) ? { stream: true, stream_options: { include_usage: true } } : {}
  const body = { model: modelOf(kind), user: kind, messages: messagesOf(kind), temperature: 0.7, ...streaming }
  return Buffer.from(JSON.stringify(body))
}

const KIND_WITHIN = 200
const SAYS = /"user": ?"([\w-]+)"/

/** By the path where it is another dialect's, in which the body does not say. */
export function kindOf(path: string, body: Buffer): Kind {
  if (path.endsWith('/messages')) return 'anthropic-stream'
  if (path.includes(':streamGenerateContent')) return 'gemini-stream'
  // Who writes the body anew puts its members in another order.
  const said = SAYS.exec(body.toString('latin1', 0, KIND_WITHIN)) ?? SAYS.exec(body.toString('latin1'))
  const kind = KINDS.find((name) => name === said?.[1])
  // Other proxies leave "user" out for models they do not know; through them only short calls go.
  return kind ?? (/"stream": ?true/.test(body.toString('latin1')) ? 'stream' : 'whole')
}

function messagesOf(kind: Kind): { role: string; content: string }[] {
  const system = {
    role: 'system',
    content: 'You are a patient assistant who answers in one paragraph. '.repeat(6).trim(),
  }
  const question = 'What do people mean when they say that all is well that ends well? '.repeat(5).trim()
  const user = { role: 'user', content: question }
  if (kind === 'long-message') return [system, { role: 'user', content: sayings(MEGABYTE) }]
  if (kind !== 'long-conversation') return [system, user]
  const turn = [user, { role: 'assistant', content: sayings(9 * SAYING.length) }]
  const turns = Math.round(MEGABYTE / JSON.stringify(turn).length)
  return [system, ...Array<typeof turn>(turns).fill(turn).flat(), user]
}

/** With line ends, quotes and letters beyond ASCII here and there, as text has them. */
function sayings(length: number): string {
  const line = `${SAYING.repeat(8)}"Ende gut, alles gut", sagt man über so etwas \u2013 und meint es.\n`
  return line.repeat(Math.ceil(length / line.length)).slice(0, length)
}

function usageOf(kind: Kind): Record<string, unknown> {
  const { prompt_tokens, completion_tokens } = USAGE[kind]
  return {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
  }
}
