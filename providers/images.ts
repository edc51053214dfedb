/** Images as a capability: a prompt in, images out, in OpenAI's dialect whatever the provider's own is; edits send images along. */
import type { FlatCall, FlatCapability, FlatRequest, PreparedRequest } from './flat-request.ts'
import type { ModelFacts, Provider, ProviderError, ProviderResponse, StreamReader } from './provider.ts'

/** What decides what an image costs. */
export interface ImageAsked {
  /** How many. */
  n: number
  /** Pixels; null for what the model chooses. */
  size: { width: number; height: number } | null
  /** As it was written; null for what the model chooses. */
  quality: string | null
  /** Drafts that a stream shows before each. */
  partials: number
  /** How many images are sent along, a mask among them. */
  sent: number
  /** They are to be kept to the letter. */
  isFaithful: boolean
}

/** Tokens of one image: at most, and as a rule. */
export interface ImageTokens {
  most: number
  expected: number
}

export interface ImagesRequest {
  flat: FlatRequest
  prompt: string
}

/** A request as it is sent, with what was read from it and from the operator's defaults. */
export interface ImagesCall extends FlatCall {
  asked: ImageAsked
  /** What each image can take at most, which the call is held for; null where it is not billed by tokens. */
  mostTokens: number | null
}

/** What a response is read with. */
export interface ImagesContext {
  /** The provider's name of the model. */
  model: string
  /** The name the caller asked for. */
  shown: string
  /** How many images were asked for. */
  n: number
  /** They are billed one by one, whatever tokens they took. */
  isByImage: boolean
  /** Tokens one of them takes as a rule, where none are stated. */
  expected: number
  /** Unix seconds. */
  created: number
}

export interface ImagesCapability extends Omit<FlatCapability, 'prepare'> {
  /** Models that make images besides what else they do. */
  makes(model: string): boolean
  model(name: string): ModelFacts
  /** Null where nobody knows: such a model needs a price an image. */
  tokensMade(asked: ImageAsked, model: string): ImageTokens | null
  /** Of one image that is sent. */
  tokensRead(asked: ImageAsked, model: string): ImageTokens
  prepare(call: ImagesCall): PreparedRequest
  /** A 200 body; null when it is not a response. */
  readResponse(body: Buffer, context: ImagesContext): ProviderResponse | ProviderError | null
  readStream(context: ImagesContext): StreamReader
}

/** One that may have them. */
export type MaybeImagesProvider = Provider & { images?: ImagesCapability }
