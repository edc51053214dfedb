/** Embeddings as a capability: texts in, a list of numbers for each out, in OpenAI's dialect whatever the provider's own is. */
import type { DeploymentCall } from './deployment-call.ts'
import type { Member } from './json-members.ts'
import type { Shape, Stranger } from './known-members/shape.ts'
import type { ModelFacts, Provider, ProviderError, ProviderResponse, Refusal, UpstreamRequest } from './provider.ts'

type Json = Readonly<Record<string, unknown>>

/** What is to be embedded: texts, or lists of tokens that the caller cut himself; one of the two is empty. */
export interface EmbeddingInput {
  texts: readonly string[]
  tokenLists: readonly (readonly number[])[]
}

/** An embedding request as the caller sent it: the bytes, where their members are, and what was read from them. */
export interface EmbeddingsRequest {
  text: Buffer
  members: readonly Member[]
  json: Json
  /** The name the caller asked for. */
  model: string
  input: EmbeddingInput
  /** What the texts are for, in Google's words: others are not told. */
  purpose?: { taskType?: string; title?: string }
  /** Members that OpenAI's own API does not know. */
  strangers: readonly Stranger[]
}

/** Its defaults are those that are taken. */
export interface EmbeddingsCall extends DeploymentCall {
  request: EmbeddingsRequest
}

/** What a response is read with. */
export interface EmbeddingsContext {
  /** The name the caller asked for, which is shown. */
  asked: string
  /** The provider's own name of the model. */
  model: string
  encoding: Encoding
}

export type Encoding = 'float' | 'base64'

export interface EmbeddingsCapability {
  /** How it counts; nothing is written, so it says nothing of output. */
  model(name: string): ModelFacts
  /** Tokens it may add to each input: held, and charged only where it states them. */
  framing(apiBase: string | null): number
  /** What it takes beyond OpenAI's own members. */
  takes(apiBase: string | null): Shape
  /** Whether the request is written anew for it: then nothing goes along that is not known. */
  isTranslated(model: string, apiBase: string | null): boolean
  /** What of the request it can't honour. */
  refuses(json: Json, input: EmbeddingInput, model: string, apiBase: string | null): readonly Refusal[]
  prepare(call: EmbeddingsCall): UpstreamRequest
  /** A 200 body; null when it is not a response. */
  readResponse(body: Buffer, context: EmbeddingsContext): ProviderResponse | ProviderError | null
}

/** One that may have them. */
export type MaybeEmbeddingsProvider = Provider & { embeddings?: EmbeddingsCapability }
