/** The providers this version can call, by the prefix of a model. */
import { openai } from './openai.ts'
import type { Provider } from './provider.ts'

const PROVIDERS: Readonly<Record<string, Provider>> = { openai }

export function findProvider(name: string): Provider | null {
  return Object.hasOwn(PROVIDERS, name) ? (PROVIDERS[name] ?? null) : null
}

export function providerNames(): string[] {
  return Object.keys(PROVIDERS)
}
