/**
 * What a provider is to the rest of the program: values and bytes in, values and bytes out. No network, no clock, no
 * database. `chat/` moves the bytes; a provider says what to send and what the answer means. Whatever the provider's own
 * dialect is, what comes out of it is OpenAI's.
 */
import type { Member } from '../src/http/json-members.ts'
import type { Usage } from '../src/metering/usage.ts'

/** A chat completion request as the caller sent it: the bytes, where their members are, and what was read from them. */
export interface ChatRequest {
  text: Buffer
  members: readonly Member[]
  json: Readonly<Record<string, unknown>>
  /** The name the caller asked for. */
  model: string
  stream: boolean
  /** The caller asked for the usage frame of a stream. */
  includeUsage: boolean
  /** `n`. */
  choices: number
  /** The caller's own cap on output tokens for each choice, whichever member it stands in. */
  outputCap: number | null
}

export interface ProviderCall {
  request: ChatRequest
  /** The provider's name of the model. */
  model: string
  apiKey: string | null
  /** Overrides the provider's base URL. No trailing slash. */
  apiBase: string | null
  organization: string | null
  extraHeaders: Readonly<Record<string, string>>
  /** Request members the operator set for this deployment; the caller's win. */
  defaults: Readonly<Record<string, unknown>>
  /** The cap to send on output tokens of each choice, or null to send what the caller sent. */
  outputCap: number | null
}

export interface UpstreamRequest {
  origin: string
  path: string
  headers: Record<string, string>
  body: Buffer
}

export interface ModelFacts {
  /** Null where unknown. */
  maxOutputTokens: number | null
  /** Output tokens that never show in a stream: what runs up can't be seen, so a cap must be sent. */
  hiddenReasoning: boolean
  encoding: 'o200k_base' | 'cl100k_base'
}

/** What was read from an answer, JSON or stream, about what it consumed. */
export interface Reading {
  /** Null: the provider stated none, or nothing usable. */
  usage: Usage | null
  /** Its own total agrees with its parts. */
  consistent: boolean
  /** The model and tier that served, as stated. */
  model: string | null
  serviceTier: string | null
}

/** A complete JSON answer. */
export interface Answer {
  reading: Reading
  finishReasons: string[]
  /** Output text no stated usage covers, for counting: all of it where none was stated, else nothing. */
  outputText(): string
  /** The bytes for the caller; `cost` (dollars, a JSON number) becomes `usage.cost`, `usage` stands in where none was stated. */
  body(cost: string, usage: unknown): Buffer
}

/** Reads one stream. `push` answers the bytes that may go to the caller now: as received wherever possible. */
export interface StreamReader {
  push(chunk: Buffer): StreamPart
  /** The connection ended: what is still to be read. */
  end(): StreamPart
  readonly reading: Reading
  readonly finishReasons: readonly string[]
  /** Frames with content forwarded so far, a lower bound of the output tokens shown. */
  readonly frames: number
  /** Output text forwarded since usage was last stated, for counting: all of it where it never was. */
  outputText(): string
  /** The same, only what was forwarded after `position`; 0 is the start. Answers the position to go on from. */
  textSince(position: number): { text: string; position: number }
  /** The usage frame for a caller who asked for it; `usage` stands in where none was stated. */
  usageFrame(cost: string, usage: unknown): Buffer
  /** Frames that end the choices not yet finished, with finish reason `length`. */
  stopFrames(): Buffer
}

export interface StreamPart {
  /** Null: nothing to forward yet. */
  bytes: Buffer | null
  /** The stream said it is over. */
  done: boolean
  /** The stream failed; `bytes` came before it. */
  error: ProviderError | null
}

export type ProviderErrorKind =
  | 'bad_request'
  | 'model_not_found'
  | 'too_large'
  | 'rate_limit'
  | 'quota'
  | 'auth'
  | 'overloaded'
  | 'failed'
  | 'timeout'
  | 'unreachable'

/** Why a provider did not answer. `message` may be shown to the caller: no keys, no account ids, nothing of ours. */
export interface ProviderError {
  kind: ProviderErrorKind
  status: number | null
  message: string
  type: string | null
  code: string | null
  param: string | null
  retryAfterMs: number | null
  /** For the operator's log only. */
  internal: string
}

export interface Provider {
  name: string
  /** As shown to callers: `OpenAI`. */
  label: string
  /** Of the public API, without a trailing slash. */
  baseUrl: string
  model(name: string): ModelFacts
  /** Upper bound of the tokens of a content part that is not text; null when nothing bounds it. */
  mediaTokens(model: string): (part: unknown) => number | null
  /** Millionths on the price for a service tier, asked or served. */
  tierMultiplier(tier: string | null): bigint
  /** Uses of separately priced tools that the request (its parsed members) can trigger, by kind. */
  toolUses(json: Readonly<Record<string, unknown>>, model: string): Record<string, number>
  prepare(call: ProviderCall): UpstreamRequest
  /** A 200 body; null when it is not an answer. */
  readAnswer(body: Buffer): Answer | null
  /** `choices` is the request's `n`. */
  readStream(choices: number): StreamReader
  readError(
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
    body: Buffer,
  ): ProviderError
}
