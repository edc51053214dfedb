/** What the scripted upstream can be told to answer: plain values, so that a test reads as what the provider does. */

import type { Split } from './splits.ts'
import type { ReceivedRequest } from './upstream.ts'

/** What the provider bills the call at; goes into the upstream's tally once the answer is out in whole. */
export interface BilledUsage {
  prompt_tokens: number
  completion_tokens: number
}

export interface Answer {
  /** 200 unless stated. */
  status?: number
  headers?: Record<string, string>
  /** The body, in parts that a gate may hold back; a part may be any bytes. */
  frames: readonly (string | Buffer)[]
  /** Awaited before the head goes out. */
  beforeHead?: Promise<unknown>
  /** Awaited before frame i goes out; `gate(frames.length)` before the body is ended. */
  gate?: (i: number) => Promise<unknown> | undefined
  /** How each frame is cut into pieces, each sent by itself. */
  split?: Split
  /** The connection is destroyed once this many bytes of the body went out. */
  cutAfter?: number
  usage?: BilledUsage
}

/** `silence`: the request is read and never answered. `hangUp`: the connection is destroyed before any answer. */
export type Script = Answer | 'silence' | 'hangUp'

/** Behaviour chosen by the request. */
export type Handler = (request: ReceivedRequest) => Script | Promise<Script>

type Options = Partial<Omit<Answer, 'frames' | 'usage'>>

export function jsonAnswer(body: unknown, options: Options = {}): Answer {
  const usage = billedUsage(body)
  return {
    ...options,
    headers: { 'content-type': 'application/json', ...options.headers },
    frames: [JSON.stringify(body)],
    ...(usage === null ? {} : { usage }),
  }
}

export function textAnswer(status: number, body: string, options: Options = {}): Answer {
  return { ...options, status, headers: { 'content-type': 'text/plain', ...options.headers }, frames: [body] }
}

/** An error as OpenAI words it. */
export function errorAnswer(
  status: number,
  error: { message: string; type?: string; code?: string; param?: string },
  options: Options = {},
): Answer {
  return jsonAnswer({ error: { type: null, param: null, code: null, ...error } }, { ...options, status })
}

export interface ChatOptions extends Options {
  /** The pieces of the answer's text: one content frame each. */
  text?: readonly string[]
  /** `null`: the provider states no usage. */
  usage?: Record<string, unknown> | null
  model?: string
  finishReason?: string
  /** Streams only: `false` leaves out [DONE]. */
  done?: boolean
  /** Streams only: whether the usage frame is sent. */
  includeUsage?: boolean
}

export const DEFAULT_USAGE = { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 }

/** A JSON chat completion. */
export function chatAnswer(options: ChatOptions = {}): Answer {
  const {
    text = ['Hello', ' world'],
    usage = DEFAULT_USAGE,
    model = 'gpt-4o-mini',
    finishReason = 'stop',
    done: _,
    includeUsage: __,
    ...rest
  } = options
  const message = { role: 'assistant', content: text.join(''), refusal: null }
  const choices = [{ index: 0, message, logprobs: null, finish_reason: finishReason }]
  const body = { id: 'chatcmpl-scripted', object: 'chat.completion', created: 1_700_000_000, model, choices }
  return jsonAnswer(usage === null ? body : { ...body, usage }, rest)
}

/** A streamed chat completion: a role frame, one frame per piece of text, a finish frame, the usage frame, [DONE]. */
export function chatStream(options: ChatOptions = {}): Answer {
  const {
    text = ['Hello', ' world'],
    usage = DEFAULT_USAGE,
    model = 'gpt-4o-mini',
    finishReason = 'stop',
    done = true,
    includeUsage = true,
    ...rest
  } = options
  const frames = [chunk(model, { role: 'assistant', content: '' }, null)]
  for (const piece of text) frames.push(chunk(model, { content: piece }, null))
  frames.push(chunk(model, {}, finishReason))
  if (usage !== null && includeUsage) frames.push(sse({ ...chunkHead(model), choices: [], usage }))
  if (done) frames.push('data: [DONE]\n\n')
  const billed = billedUsage({ usage })
  return {
    ...rest,
    headers: { 'content-type': 'text/event-stream', ...rest.headers },
    frames,
    ...(billed === null ? {} : { usage: billed }),
  }
}

/** Streams or not, and states usage or not, as the request asks: what a real provider does. */
export function chat(options: ChatOptions = {}): Handler {
  return ({ json }) => {
    if (json?.stream !== true) return chatAnswer(options)
    const asked = (json.stream_options as { include_usage?: boolean } | null | undefined)?.include_usage === true
    return chatStream({ includeUsage: asked, ...options })
  }
}

/** Any bytes as a stream of server-sent events. */
export function rawStream(
  frames: readonly (string | Buffer)[],
  options: Options & { usage?: BilledUsage } = {},
): Answer {
  return { ...options, headers: { 'content-type': 'text/event-stream', ...options.headers }, frames }
}

export function sse(data: unknown): string {
  return `data: ${JSON.stringify(data)}\n\n`
}

function chunkHead(model: string): Record<string, unknown> {
  return { id: 'chatcmpl-scripted', object: 'chat.completion.chunk', created: 1_700_000_000, model }
}

function chunk(model: string, delta: Record<string, unknown>, finishReason: string | null): string {
  return sse({ ...chunkHead(model), choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }] })
}

function billedUsage(body: unknown): BilledUsage | null {
  const usage = (body as { usage?: Partial<BilledUsage> | null } | null)?.usage
  if (typeof usage?.prompt_tokens !== 'number' || typeof usage.completion_tokens !== 'number') return null
  return { prompt_tokens: usage.prompt_tokens, completion_tokens: usage.completion_tokens }
}
