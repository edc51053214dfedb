/** The providers this version can call, by the prefix of a model. */
import { anthropic } from './anthropic.ts'
import { google } from './google.ts'
import { groq } from './groq.ts'
import { huggingface } from './huggingface.ts'
import { openai } from './openai.ts'
import { openrouter } from './openrouter.ts'
import type { Provider } from './provider.ts'
import { xai } from './xai.ts'

export const PROVIDERS: Readonly<Record<string, Provider>> = {
  openai,
  anthropic,
  gemini: google,
  groq,
  xai,
  huggingface,
  openrouter,
}

export function findProvider(name: string): Provider | null {
  return Object.hasOwn(PROVIDERS, name) ? (PROVIDERS[name] ?? null) : null
}

export function providerNames(): string[] {
  return Object.keys(PROVIDERS)
}
