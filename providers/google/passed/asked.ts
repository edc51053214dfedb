/** What a request of Gemini's own asks for, with what the operator set for the deployment in the words of chat completions. */
import type { GenerateAsked } from '../../generate.ts'
import { asObject } from '../../json.ts'
import { draws, thinkingConfig } from '../models.ts'
import { textOf } from '../parts.ts'
import { largestCap, RENAMED } from '../request.ts'

type Json = Readonly<Record<string, unknown>>

export function askedOf(json: Json, model: string, defaults: Json): GenerateAsked {
  const config = { ...configDefaults(json, model, defaults), ...asObject(json.generationConfig) }
  const { candidateCount = null, maxOutputTokens = null, responseModalities } = config
  const kinds = (Array.isArray(responseModalities) ? responseModalities : [responseModalities]).map((kind) =>
    textOf(kind).toUpperCase(),
  )
  const isAsked = kinds.some((kind) => kind === 'IMAGE' || kind === 'AUDIO' || kind === 'VIDEO')
  return {
    json: { ...safetyDefault(json, defaults), ...json, generationConfig: config },
    choices: typeof candidateCount === 'number' ? candidateCount : 1,
    outputCap: typeof maxOutputTokens === 'number' ? maxOutputTokens : null,
    mayDraw: isAsked || draws(model),
    speaks: kinds.includes('AUDIO'),
  }
}

/** Members of `generationConfig` that the caller left to the operator. */
export function configDefaults(json: Json, model: string, defaults: Json): Json {
  const own = asObject(json.generationConfig) ?? {}
  const added: Record<string, unknown> = {}
  for (const [from, to] of RENAMED) if (typeof defaults[from] === 'number') added[to] = defaults[from]
  const cap = largestCap(defaults)
  if (cap !== null) added.maxOutputTokens = cap
  const { reasoning_effort: effort } = defaults
  const thinking = typeof effort === 'string' ? thinkingConfig(model, effort) : null
  if (thinking !== null && Object.keys(thinking).length > 0) added.thinkingConfig = thinking
  return Object.fromEntries(Object.entries(added).filter(([name]) => (own[name] ?? null) === null))
}

export function safetyDefault(json: Json, { safety_settings: settings }: Json): Json {
  return Array.isArray(settings) && (json.safetySettings ?? null) === null ? { safetySettings: settings } : {}
}
