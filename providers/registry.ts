/** The providers this version can call, by the prefix of a model. */
import { anthropic } from './anthropic.ts'
import { bedrock } from './bedrock.ts'
import type { MaybeCompletionsProvider } from './completions.ts'
import type { MaybeEmbeddingsProvider } from './embeddings.ts'
import type { MaybeGenerateProvider } from './generate.ts'
import { google } from './google.ts'
import { groq } from './groq.ts'
import { huggingface } from './huggingface.ts'
import type { MaybeImagesProvider } from './images.ts'
import type { MaybeMessagesProvider } from './messages.ts'
import type { MaybeModerationsProvider } from './moderations.ts'
import { openai } from './openai.ts'
import { openrouter } from './openrouter.ts'
import { OTHERS } from './others.ts'
import type { ChatProvider } from './provider.ts'
import type { MaybeResponsesProvider } from './responses.ts'
import type { MaybeSpeechProvider } from './speech.ts'
import type { MaybeTranscriptionProvider } from './transcriptions.ts'
import { vertex } from './vertex.ts'
import { xai } from './xai.ts'

/** One that may have any of the capabilities. */
export type AnyProvider = MaybeMessagesProvider &
  MaybeResponsesProvider &
  MaybeEmbeddingsProvider &
  MaybeCompletionsProvider &
  MaybeGenerateProvider &
  MaybeImagesProvider &
  MaybeTranscriptionProvider &
  MaybeSpeechProvider &
  MaybeModerationsProvider

export const PROVIDERS: Readonly<Record<string, AnyProvider>> = {
  openai,
  anthropic,
  gemini: google,
  groq,
  xai,
  huggingface,
  openrouter,
  bedrock,
  vertex_ai: vertex,
  ...OTHERS,
}

export function findProvider(name: string): AnyProvider | null {
  return Object.hasOwn(PROVIDERS, name) ? (PROVIDERS[name] ?? null) : null
}

/** @throws {Error} for a name that is in no configuration either: those name only what is here. */
export function providerOf(name: string): AnyProvider {
  const provider = findProvider(name)
  if (provider === null) throw new Error(`${name} is not in the registry of providers`)
  return provider
}

/** @throws {Error} for one that serves no chat completions. */
export function chatProviderOf(name: string): ChatProvider {
  const provider = providerOf(name)
  if (provider.chat === undefined) throw new Error(`${name} serves no chat completions`)
  return provider as ChatProvider
}

export function providerNames(): string[] {
  return Object.keys(PROVIDERS)
}
