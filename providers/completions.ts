/** Text completions as a capability: what providers that go on from a text take and return as it is, so that bytes pass both ways. */
import type { DeploymentCall } from './deployment-call.ts'
import type { Member } from './json-members.ts'
import type { Shape, Stranger } from './known-members/shape.ts'
import type { Provider, ProviderError, ProviderResponse, StreamReader, UpstreamRequest } from './provider.ts'

type Json = Readonly<Record<string, unknown>>

/** A request to complete a text as the caller sent it: the bytes, where their members are, and what was read from them. */
export interface CompletionRequest {
  text: Buffer
  members: readonly Member[]
  json: Json
  /** The name the caller asked for. */
  model: string
  /** Texts, or lists of tokens; one of the two is empty. */
  prompt: { texts: readonly string[]; tokenLists: readonly (readonly number[])[] }
  stream: boolean
  /** The caller asked for the usage frame of a stream. */
  includeUsage: boolean
  /** How many are returned for each prompt, and how many are written for that. */
  n: number
  written: number
  /** `max_tokens`; null where none is stated. */
  outputCap: number | null
  /** Members that OpenAI's own API does not know. */
  strangers: readonly Stranger[]
}

export interface CompletionCall extends DeploymentCall {
  request: CompletionRequest
  /** The cap on output tokens of each choice. */
  outputCap: number
  /** Whether a stream is asked for its usage. */
  askUsage: boolean
}

export interface CompletionsCapability {
  /** What it takes beyond OpenAI's own members. */
  takes(apiBase: string | null): Shape
  prepare(call: CompletionCall): UpstreamRequest
  /** A 200 body; null when it is not a response. */
  readResponse(body: Buffer, asked: string): ProviderResponse | ProviderError | null
  /** @param choices how many are returned in all. */
  readStream(choices: number, asked: string): StreamReader
}

/** One that may have them. */
export type MaybeCompletionsProvider = Provider & { completions?: CompletionsCapability }
