/** How the recordings of a folder are played: who of the registry reads them, where it believes the provider to be, in whose words they are. */
import { findProvider } from '../../providers/registry.ts'
import type { Recording } from './recording.ts'

export interface Dialect {
  /** As the registry calls it. */
  provider: string
  /** Requests and answers are in OpenAI's words. */
  speaksOpenAi: boolean
  /** Its calls of tools lack what clients need (an index, an id), so answers can't pass as they came. */
  mendsCalls?: boolean
  /** Where the provider's own address has another path. */
  path?: string
  /** For exchanges whose request was not recorded. */
  likelyModel: string
}

const DIALECTS: Readonly<Record<string, Dialect>> = {
  openai: { provider: 'openai', speaksOpenAi: true, likelyModel: 'gpt-4o-mini' },
  openrouter: { provider: 'openrouter', speaksOpenAi: true, likelyModel: 'openai/gpt-4o-mini' },
  groq: { provider: 'groq', speaksOpenAi: true, likelyModel: 'llama-3.3-70b-versatile' },
  xai: { provider: 'xai', speaksOpenAi: true, likelyModel: 'grok-3-mini' },
  huggingface: { provider: 'huggingface', speaksOpenAi: true, likelyModel: 'moonshotai/Kimi-K2-Instruct-0905:groq' },
  anthropic: { provider: 'anthropic', speaksOpenAi: false, likelyModel: 'claude-sonnet-4-5' },
  gemini: { provider: 'gemini', speaksOpenAi: false, likelyModel: 'gemini-2.5-flash' },
  gemini_openai_compat: {
    provider: 'gemini',
    speaksOpenAi: true,
    mendsCalls: true,
    path: '/v1beta/openai',
    likelyModel: 'gemini-2.5-flash',
  },
}

/** Who is not named here speaks OpenAI's dialect under the name of the folder. */
export function dialectOf(folder: string): Dialect {
  const dialect = Object.hasOwn(DIALECTS, folder) ? DIALECTS[folder] : undefined
  return dialect ?? { provider: folder, speaksOpenAi: true, likelyModel: 'unnamed' }
}

export function isPlayable(folder: string): boolean {
  return findProvider(dialectOf(folder).provider) !== null
}

/** What passes can be compared with what was recorded, frame by frame. */
export function isComparable({ provider }: Recording): boolean {
  const { speaksOpenAi, mendsCalls } = dialectOf(provider)
  return speaksOpenAi && mendsCalls !== true
}

/** The provider's name of the model that is asked for. */
export function modelOf(recording: Recording): string {
  const asked = recording.request?.model
  const model = typeof asked === 'string' && asked !== '' ? asked : dialectOf(recording.provider).likelyModel
  return recording.servedBy === null ? model : `${model}:${recording.servedBy}`
}

/** What `api_base` is, at an upstream on `origin`. */
export function apiBaseOf(folder: string, origin: string): string {
  const { provider, path } = dialectOf(folder)
  return origin + (path ?? new URL(findProvider(provider)?.baseUrl ?? 'http://unknown/').pathname.replace(/\/$/, ''))
}
