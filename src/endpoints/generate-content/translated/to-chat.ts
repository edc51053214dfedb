/**
 * Turns a request of Gemini's dialect into a chat completion request. Members that a caller does not rely on are left out silently:
 * safety settings, and `topK`, which clients send by default and most providers lack. What others can't honour is refused by name.
 */
import { listOf } from '../../../../providers/google/passed/passed-tools.ts'
import { asObject } from '../../../../providers/json.ts'
import { chatMessages } from './chat-messages.ts'
import { chatTools } from './chat-tools.ts'
import { jsonSchemaOf } from './json-schema.ts'
import { onlyGemini } from './only-gemini.ts'

type Json = Readonly<Record<string, unknown>>

const LEFT_OUT: ReadonlySet<string> = new Set(['safetySettings', 'serviceTier', 'store', 'model'])
const TRANSLATED: ReadonlySet<string> = new Set([
  ...['contents', 'systemInstruction', 'tools', 'toolConfig', 'generationConfig'],
  ...['power_level', 'task_type', 'privacy_required'],
])
const CONFIG_LEFT_OUT: ReadonlySet<string> = new Set(['topK', 'mediaResolution', 'enableEnhancedCivicAnswers'])
const CONFIG_TRANSLATED: ReadonlySet<string> = new Set([
  ...['temperature', 'topP', 'candidateCount', 'maxOutputTokens', 'stopSequences', 'seed', 'presencePenalty'],
  ...['frequencyPenalty', 'responseMimeType', 'responseSchema', 'responseJsonSchema', '_responseJsonSchema'],
  ...['thinkingConfig', 'responseModalities', 'responseLogprobs'],
])

/** @throws {TollgateError} 400. */
export function toChat(json: Json, { model, stream }: { model: string; stream: boolean }): Record<string, unknown> {
  const config = asObject(json.generationConfig) ?? {}
  refuse(json, '', [TRANSLATED, LEFT_OUT])
  refuse(config, 'generationConfig.', [CONFIG_TRANSLATED, CONFIG_LEFT_OUT])
  const { temperature, topP, candidateCount, maxOutputTokens, stopSequences, seed, presencePenalty } = config
  const chat = {
    model,
    messages: chatMessages(json),
    max_completion_tokens: maxOutputTokens,
    temperature,
    top_p: topP,
    n: candidateCount === 1 ? undefined : candidateCount,
    stop: listOf(stopSequences).length > 0 ? listOf(stopSequences) : undefined,
    seed,
    presence_penalty: unlessZero(presencePenalty),
    frequency_penalty: unlessZero(config.frequencyPenalty),
    ...chatTools(json),
    reasoning_effort: effortOf(asObject(config.thinkingConfig) ?? {}),
    response_format: formatOf(config),
    ...(stream ? { stream: true } : {}),
  }
  return Object.fromEntries(Object.entries(chat).filter(([, value]) => value !== undefined && value !== null))
}

function refuse(json: Json, place: string, known: readonly ReadonlySet<string>[]): void {
  for (const [name, value] of Object.entries(json)) {
    if (value === null || known.some((names) => names.has(name))) continue
    throw onlyGemini(`${place}${name}`)
  }
  const kinds = listOf(json.responseModalities)
  if (kinds.some((kind) => kind !== 'TEXT')) throw onlyGemini(`${place}responseModalities`)
  if (json.responseLogprobs === true) throw onlyGemini(`${place}responseLogprobs`)
}

/** A penalty of 0 means no penalty. */
function unlessZero(penalty: unknown): unknown {
  return penalty === 0 ? undefined : penalty
}

/** Turns a budget of thinking tokens into the effort that uses about as many. */
const BUDGETS: readonly (readonly [tokens: number, effort: string])[] = [
  [2_048, 'low'],
  [8_192, 'medium'],
]
const LEVELS: Readonly<Record<string, string>> = { MINIMAL: 'low', LOW: 'low', MEDIUM: 'medium', HIGH: 'high' }

/** No effort where the model decides, or does not think. */
function effortOf({ thinkingLevel, thinkingBudget: budget }: Json): string | undefined {
  const level = typeof thinkingLevel === 'string' ? thinkingLevel.toUpperCase() : ''
  if (Object.hasOwn(LEVELS, level)) return LEVELS[level]
  if (typeof budget !== 'number' || budget <= 0) return undefined
  return BUDGETS.find(([tokens]) => budget <= tokens)?.[1] ?? 'high'
}

function formatOf(config: Json): Json | undefined {
  const { responseMimeType: type = null } = config
  if (type === null || type === 'text/plain') return undefined
  if (type !== 'application/json') throw onlyGemini('generationConfig.responseMimeType')
  const plain = config.responseJsonSchema ?? config._responseJsonSchema
  const schema = plain ?? (config.responseSchema == null ? undefined : jsonSchemaOf(config.responseSchema))
  if (schema === undefined) return { type: 'json_object' }
  return { type: 'json_schema', json_schema: { name: 'answer', schema } }
}
