/** Transcriptions and translations as a capability: a recording in, its text out, in OpenAI's dialect. */
import type { FlatCall, FlatCapability, FlatRequest, PreparedRequest } from './flat-request.ts'
import type { ModelFacts, Provider, ProviderError, ProviderResponse, StreamReader } from './provider.ts'

export interface TranscriptionRequest {
  flat: FlatRequest
  /** Into English. */
  isTranslation: boolean
  prompt: string
  /** The recording. */
  sound: Buffer
  /** Seconds of the voices that are sent along, at most. */
  voices: number
}

/** How a recording is billed. */
export interface SoundFacts {
  /** Tokens a second of it takes, where it is billed by tokens; 0 where it is billed by its length. */
  tokensPerSecond: number
  /** The longest that the model takes, in seconds; null where only the bytes bound it. */
  longest: number | null
  /** What a shorter one is billed as, in seconds. */
  shortest: number
}

/** What a response is read with. */
export interface TranscriptionContext {
  /** False for text as it is, and for subtitles: nothing in those is a statement of the provider's. */
  isJson: boolean
  /** Billed by its length, whatever tokens it took. */
  isByTime: boolean
  /** What a shorter recording is billed as, in seconds. */
  shortest: number
}

export interface TranscriptionCapability extends Pick<FlatCapability, 'takes' | 'refuses'> {
  model(name: string): ModelFacts
  sound(model: string): SoundFacts
  prepare(call: FlatCall, isTranslation: boolean): PreparedRequest
  /** A 200 body; null when it is not a response. */
  readResponse(body: Buffer, context: TranscriptionContext): ProviderResponse | ProviderError | null
  readStream(context: TranscriptionContext): StreamReader
}

/** One that may have them. */
export type MaybeTranscriptionProvider = Provider & { transcriptions?: TranscriptionCapability }
