/** What a recording's answer has to become, by what is promised of every provider: statuses, finish reasons, amounts. */
import { parseDecimal } from '../../src/metering/money.ts'
import { dialectOf } from './dialects.ts'
import { object, parse } from './frames.ts'
import type { Oracle, OracleUsage, Recording } from './recording.ts'

export interface ExpectedStatus {
  /** Any of these. */
  statuses: readonly number[]
  /** Why it is not the recorded one, where it is the operator's trouble and not the caller's. */
  onPurpose: string | null
}

const OUR_KEY = /api[ _]key not valid|incorrect api key|API_KEY_INVALID/i
const OUR_MONEY =
  /insufficient_quota|billing_hard_limit|available credits|spending limit|credit balance is too low|more credits/i
const MODERATED = /moderation|flagged/i

export function expectedStatus({ status, body }: Recording): ExpectedStatus {
  const text = body.toString()
  if (status === 403 && MODERATED.test(text)) return { statuses: [400], onPurpose: null }
  if (status === 401 || status === 403) return ours(`the provider's ${status} rejects our key, not the caller's`)
  if (status === 402) return ours("the credits of our account are used up, not the caller's")
  if (status === 400 && OUR_KEY.test(text)) return ours('the provider rejects our key with 400')
  if (status >= 400 && OUR_MONEY.test(text)) return ours(`our account has no money left, which came as ${status}`)
  if (status === 422) return { statuses: [400], onPurpose: null }
  // Some answer an unknown model with 400.
  if (status === 400 && /valid model|model .*not (?:found|supported)/i.test(text))
    return { statuses: [400, 404], onPurpose: null }
  if (status === 408 || status >= 498) return { statuses: [503], onPurpose: null }
  return { statuses: [status], onPurpose: null }
}

function ours(reason: string): ExpectedStatus {
  return { statuses: [503], onPurpose: `${reason}: 503` }
}

/** What the provider says is wrong; null where it says nothing that can be read. */
export function statedMessages({ body }: Recording): string[] {
  const text = body.toString()
  const top = parse(text)
  const json = object(Array.isArray(top) ? top[0] : top)
  if (json === null) return text.trim() === '' ? [] : [text.trim().replace(/^"|"$/g, '')]
  const error = object(json.error)
  const candidates = [json.error, error?.message, object(error?.metadata)?.raw, json.detail, json.message]
  return candidates.filter((value) => typeof value === 'string')
}

/** Keys, whole or masked, and ids of accounts, as providers echo them: nothing of it may reach a caller. */
export function secretsIn(text: string): string[] {
  const patterns = [
    /[\w-]+\*{2,}[\w-]*/g,
    /\b(?:org|proj|user|team|acct)[-_](?=\w*[\dA-Z])\w{6,}/g,
    /\b(?:team|organization|project) ([\da-f]{8}-[\da-f-]{20,})/g,
  ]
  return patterns.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1] ?? match[0]))
}

const FINISH: Readonly<Record<string, string>> = {
  eos_token: 'stop',
  end_turn: 'stop',
  stop_sequence: 'stop',
  pause_turn: 'stop',
  STOP: 'stop',
  tool_use: 'tool_calls',
  max_tokens: 'length',
  MAX_TOKENS: 'length',
  model_context_window_exceeded: 'length',
  refusal: 'content_filter',
  SAFETY: 'content_filter',
  RECITATION: 'content_filter',
  BLOCKLIST: 'content_filter',
  PROHIBITED_CONTENT: 'content_filter',
  SPII: 'content_filter',
  IMAGE_SAFETY: 'content_filter',
}

/** OpenAI's words for why it ended; none where the stream failed before it did. */
export function expectedFinish(recording: Recording, { native_finish, tool_calls }: Oracle): string | null {
  const native = Array.isArray(native_finish) ? native_finish.at(-1) : native_finish
  if (native === null || native === undefined) return null
  const own = FINISH[native] ?? native
  // OpenAI itself ends a forced call with `stop`; Google ends every call so.
  const google = dialectOf(recording.provider).provider === 'gemini'
  return google && own === 'stop' && tool_calls.length > 0 ? 'tool_calls' : own
}

/** Of all models together. */
export function wholeUsage(usage: OracleUsage): OracleUsage {
  const sum = { ...usage }
  for (const other of usage.other_models ?? []) {
    sum.input_tokens += other.input_tokens + other.cache_read_input_tokens + other.cache_creation_input_tokens
    sum.cache_read += other.cache_read_input_tokens
    sum.cache_write += other.cache_creation_input_tokens
    sum.output_tokens += other.output_tokens
  }
  return sum
}

/** Parts that contradict their whole are cut down to it: nothing is charged twice. */
export function withinWhole(usage: OracleUsage): OracleUsage {
  const cache_read = Math.min(usage.cache_read, usage.input_tokens)
  const cache_write = Math.min(usage.cache_write, usage.input_tokens - cache_read)
  return { ...usage, cache_read, cache_write, reasoning: Math.min(usage.reasoning ?? 0, usage.output_tokens) }
}

/** Dollars to nano-dollars, rounded up. Fifteen digits are what a double is sure of. */
export function nanoDollars(dollars: number | string): bigint {
  return parseDecimal(Number(dollars).toPrecision(15), 9, { roundUp: true })
}
