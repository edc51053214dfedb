/** Speech as a capability: a text in, sound out, in OpenAI's dialect. */
import type { FlatCapability, FlatRequest } from './flat-request.ts'
import type { ModelFacts, Provider, StreamReader } from './provider.ts'

export interface SpeechRequest {
  flat: FlatRequest
  /** What is spoken. */
  input: string
  instructions: string
}

/** What a response is read with. */
export interface SpeechContext {
  /** The sound comes in events, in base64. */
  isEvents: boolean
  /** Billed by the characters of its text, whatever tokens it took. */
  isByCharacter: boolean
  /** The format of the sound. */
  format: string
}

/** Tokens of the sound: at most, and as a rule. */
export interface SpokenTokens {
  most: number
  expected: number
}

export interface SpeechCapability extends FlatCapability {
  model(name: string): ModelFacts
  /** @param speed 1 for the usual one. Null where nobody knows: such a model needs a price a character. */
  tokensMade(characters: number, speed: number, model: string): SpokenTokens | null
  readStream(context: SpeechContext): StreamReader
}

/** One that may have it. */
export type MaybeSpeechProvider = Provider & { speech?: SpeechCapability }
