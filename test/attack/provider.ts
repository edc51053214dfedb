/**
 * Providers as tricks meet them: servers that write as much as the request lets them, as they read it, and those that lie. What is
 * stated and what is billed are apart.
 */
import type { ReceivedRequest } from '../support/upstream.ts'
import {
  type Answer,
  type ChatOptions,
  chatAnswer,
  chatStream,
  jsonAnswer,
  rawStream,
  sse,
} from '../support/upstream-answers.ts'
import type { Bill } from './bill.ts'
import type { Provider, Reply } from './trick.ts'

type Json = Record<string, unknown>

/** Of "Say hello": 3 tokens of text, 3 around the message, 3 before the answer. */
export const INPUT = 9

export function usageOf(input: number, output: number, more: Json = {}): Json {
  return { prompt_tokens: input, completion_tokens: output, total_tokens: input + output, ...more }
}

/** States what it bills: `output` tokens, whatever was asked for. */
export function honest(bill: Bill, options: ChatOptions = {}): Provider {
  const { input, cached = 0, output } = bill
  const details = cached === 0 ? {} : { prompt_tokens_details: { cached_tokens: cached } }
  return says(usageOf(input + cached, output, details), bill, { model: bill.model ?? 'gpt-4o-mini', ...options })
}

/** States this, and bills that. */
export function says(usage: Json | null, bill: Bill, options: ChatOptions = {}): Provider {
  return ({ json }) => {
    const all = { usage, ...options }
    return { script: json?.stream === true ? chatStream(all) : chatAnswer(all), bill }
  }
}

export interface Reader {
  /** As a server reads the request. */
  cap(json: Json): number | null
  choices(json: Json): number
}

/** Takes the last of both members; knows `n`. */
export const openAiReader: Reader = {
  cap: (json) => numberIn(json.max_completion_tokens) ?? numberIn(json.max_tokens),
  choices: (json) => numberIn(json.n) ?? 1,
}

/** A server that knows only one of the caps. */
export function readerOf(member: 'max_tokens' | 'max_completion_tokens'): Reader {
  return { ...openAiReader, cap: (json) => numberIn(json[member]) }
}

function numberIn(value: unknown): number | null {
  return typeof value === 'number' ? value : null
}

const LIMIT = 16_384

/** Writes until it is stopped, in each choice, and states it. Input: what `inputOf` makes of the request. */
export function greedy(
  reader: Reader = openAiReader,
  {
    inputOf = () => INPUT,
    limit = LIMIT,
    model = 'gpt-4o-mini' as NonNullable<Bill['model']>,
    more = {} as Json,
  } = {} as {
    inputOf?: (request: ReceivedRequest) => number
    limit?: number
    model?: NonNullable<Bill['model']>
    more?: Json
  },
): Provider {
  return (request) => {
    const json = request.json ?? {}
    const output = Math.min(reader.cap(json) ?? limit, limit) * reader.choices(json)
    const input = inputOf(request)
    const options = { usage: usageOf(input, output, more), model, text: ['Hello', ' world'] }
    const script = json.stream === true ? chatStream(options) : chatAnswer(options)
    return { script, bill: { model, input, output } }
  }
}

/** A token a byte of the request as it came. */
export const byteInput = ({ body }: ReceivedRequest) => body.length

/** A frame of a stream. */
export function chunk(delta: Json, more: Json = {}): string {
  return sse({ id: 'c', model: 'gpt-4o-mini', choices: [{ index: 0, delta, finish_reason: null }], ...more })
}

export const ROLE = chunk({ role: 'assistant', content: '' })
export const FINISH = sse({ id: 'c', model: 'gpt-4o-mini', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
export const DONE = 'data: [DONE]\n\n'
export const usageFrame = (usage: Json, more: Json = {}) =>
  sse({ id: 'c', model: 'gpt-4o-mini', choices: [], usage, ...more })

/** These frames, and this bill. */
export function streams(frames: readonly string[], bill: Bill | null, options: Partial<Answer> = {}): Provider {
  return () => ({ script: rawStream(frames, options), bill })
}

/** These frames, and then nothing for as long as anybody waits. */
export function streamsThenWaits(frames: readonly string[], bill: Bill): Provider {
  const never = new Promise<never>(() => {})
  return streams(frames, bill, { gate: (i) => (i === frames.length ? never : undefined) })
}

/** A whole answer with this message, and what it states. */
export function wholeAnswer(message: Json, usage: Json | null, bill: Bill | null, more: Json = {}): Provider {
  const choices = [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: 'stop' }]
  const body = { id: 'c', object: 'chat.completion', model: 'gpt-4o-mini', choices, ...more }
  return () => ({ script: jsonAnswer(usage === null ? body : { ...body, usage }), bill })
}

/** One after another, the last for good. */
export function inTurn(...replies: readonly Reply[]): Provider {
  return (_, call) => replies[Math.min(call, replies.length) - 1]!
}

/** A word is a token: these many of them. */
export const words = (count: number) => Array.from({ length: count }, () => ' word')
