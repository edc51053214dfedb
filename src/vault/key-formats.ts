/**
 * The keys this product stores, under the names its APIs call them by: what each looks like, and which environment variable is used
 * where none is stored. A format recognizes a key of another provider, or half a key, before it is stored. It can't recognize a valid one.
 */
import { findProvider } from '../../providers/registry.ts'
import type { KeyProvider } from './key-owner.ts'

export interface KeyFormat {
  /** In paths and bodies. */
  name: string
  /** In config.yaml, in the registry and in the vault. */
  provider: KeyProvider
  /** As messages call it. */
  label: string
  title: string
  description: string
  /** For people. */
  example: string
  prefix: string
  /** Prefixes of other providers' keys that begin like these. */
  not: readonly string[]
  /** A caller's own key is longer than this. */
  longerThan: number
}

const NOTHING = { not: [], longerThan: 20 }

export const PROVISIONING: KeyFormat = {
  ...NOTHING,
  name: 'provisioning',
  provider: 'provisioning',
  label: 'Provisioning',
  title: 'Provisioning Key',
  description: 'For making keys of this platform; no provider is called with it',
  example: 'mu-prov-...',
  prefix: '',
}

/** The seven. */
export const PROVIDER_KEYS: readonly KeyFormat[] = [
  {
    ...NOTHING,
    name: 'openrouter',
    provider: 'openrouter',
    label: 'OpenRouter',
    title: 'OpenRouter API Key',
    description: 'Models of many providers through OpenRouter',
    example: 'sk-or-v1-...',
    prefix: 'sk-or-',
    longerThan: 40,
  },
  {
    name: 'openai',
    provider: 'openai',
    label: 'OpenAI',
    title: 'OpenAI API Key',
    description: "OpenAI's own models",
    example: 'sk-proj-...',
    prefix: 'sk-',
    not: ['sk-or-', 'sk-ant-'],
    longerThan: 40,
  },
  {
    ...NOTHING,
    name: 'anthropic',
    provider: 'anthropic',
    label: 'Anthropic',
    title: 'Anthropic API Key',
    description: 'Claude models',
    example: 'sk-ant-...',
    prefix: 'sk-ant-',
    longerThan: 50,
  },
  {
    ...NOTHING,
    name: 'huggingface',
    provider: 'huggingface',
    label: 'HuggingFace',
    title: 'HuggingFace API Key',
    description: "Open models through HuggingFace's router",
    example: 'hf_...',
    prefix: 'hf_',
    longerThan: 30,
  },
  {
    ...NOTHING,
    name: 'groq',
    provider: 'groq',
    label: 'Groq',
    title: 'Groq API Key',
    description: 'Open models, fast',
    example: 'gsk_...',
    prefix: 'gsk_',
    longerThan: 50,
  },
  {
    ...NOTHING,
    name: 'xai',
    provider: 'xai',
    label: 'X.AI',
    title: 'X.AI API Key',
    description: 'Grok models',
    example: 'xai-...',
    prefix: 'xai-',
  },
  {
    ...NOTHING,
    name: 'google',
    provider: 'gemini',
    label: 'Google AI',
    title: 'Google AI API Key',
    description: 'Gemini models',
    example: 'AIza...',
    prefix: 'AIza',
  },
]

/** Ops-Center says google where LiteLLM says gemini: both are understood. Null for a name nobody has. */
export function findKeyFormat(name: string, formats: readonly KeyFormat[] = PROVIDER_KEYS): KeyFormat | null {
  return formats.find((format) => format.name === name || format.provider === name) ?? null
}

/** By the name under which the vault lists it. */
export function nameOf(provider: KeyProvider): string {
  return [...PROVIDER_KEYS, PROVISIONING].find((format) => format.provider === provider)?.name ?? provider
}

export function hasFormat({ prefix, not }: KeyFormat, apiKey: string): boolean {
  return apiKey.startsWith(prefix) && apiKey.length > prefix.length && !not.some((other) => apiKey.startsWith(other))
}

/** The variable to set, as the registry knows it. */
export function variableOf({ provider }: KeyFormat): string {
  return findProvider(provider)?.keyVariables[0] ?? `${provider.toUpperCase()}_KEY`
}
