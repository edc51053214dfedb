/** What the provider of the benchmarks answers and bills, always the same: bytes made once, and what they must cost. */
import { UNSTAMPED } from './chunk-stamps.ts'

/**
 * `whole` and `stream`: short calls, answered at once. `paced`: a stream of 1000 chunks that each tell when they were sent. The
 * others are a megabyte: one long message, a long conversation, a long answer.
 */
export const KINDS = ['whole', 'stream', 'paced', 'long-message', 'long-conversation', 'long-answer'] as const
export type Kind = (typeof KINDS)[number]

export const MODEL = 'bench'

/** As stated in every answer of a kind. */
export const USAGE: Record<Kind, { prompt_tokens: number; completion_tokens: number }> = {
  whole: { prompt_tokens: 180, completion_tokens: 64 },
  stream: { prompt_tokens: 180, completion_tokens: 50 },
  paced: { prompt_tokens: 180, completion_tokens: 1_000 },
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
export const PACED_CHUNKS = 1_000
/** Between two of them: a hundred tokens a second. */
export const PACE_MS = 10
const MEGABYTE = 1024 * 1024
const SAYING = 'All is well that ends well. '
const HEAD = { id: 'chatcmpl-bench', created: 1_700_000_000, model: MODEL, system_fingerprint: 'fp_bench' }

export function wholeAnswer(kind: Exclude<Kind, 'stream' | 'paced'>): Buffer {
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

/** One frame each: the content, the finish, the usage where it was asked for, [DONE]. */
export function streamFrames(kind: 'stream' | 'paced', includeUsage: boolean): Buffer[] {
  const padding = kind === 'paced' ? UNSTAMPED : {}
  const frame = (choices: unknown[], usage: unknown) => ({ ...HEAD, object: 'chat.completion.chunk', choices, usage })
  const choice = (delta: unknown, finish: string | null) => [{ index: 0, delta, logprobs: null, finish_reason: finish }]
  const usage = includeUsage ? null : undefined
  const frames: Record<string, unknown>[] = Array.from({ length: kind === 'paced' ? PACED_CHUNKS : CHUNKS }, (_, i) => {
    const delta = i === 0 ? { role: 'assistant', content: 'One' } : { content: ' word' }
    return { ...frame(choice(delta, null), usage), ...padding }
  })
  frames.push(frame(choice({}, 'stop'), usage))
  if (includeUsage) frames.push(frame([], usageOf(kind)))
  return [...frames.map((json) => JSON.stringify(json)), '[DONE]'].map((data) => Buffer.from(`data: ${data}\n\n`))
}

/** What clients send: a conversation, without a cap on the output. It tells the provider its kind, near its start. */
export function requestBody(kind: Kind): Buffer {
  const streams = kind === 'stream' || kind === 'paced'
  const streaming = streams ? { stream: true, stream_options: { include_usage: true } } : {}
  const body = { model: MODEL, user: kind, messages: messagesOf(kind), temperature: 0.7, ...streaming }
  return Buffer.from(JSON.stringify(body))
}

const KIND_WITHIN = 200

export function kindOf(body: Buffer): Kind {
  const said = /"user":"([\w-]+)"/.exec(body.toString('latin1', 0, KIND_WITHIN))?.[1]
  const kind = KINDS.find((name) => name === said)
  if (kind === undefined) throw new Error('a request that does not tell its kind')
  return kind
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
