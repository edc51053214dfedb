/** A chat completion request as Gemini's `generateContent`. */

import { asObject } from '../json.ts'
import { ownHeaders } from '../own-headers.ts'
import type { ProviderCall, UpstreamRequest } from '../provider.ts'
import { translateMessages } from './contents.ts'
import { bareModel } from './models.ts'
import { textOf } from './parts.ts'
import { translateThinking } from './thinking.ts'
import { translateTools } from './tools.ts'

type Json = Readonly<Record<string, unknown>>

export const BASE_URL = 'https://generativelanguage.googleapis.com/v1beta'

export function prepareGoogle(call: ProviderCall): UpstreamRequest {
  const { model, apiKey, apiBase, extraHeaders, request } = call
  const accept = request.stream ? 'text/event-stream' : 'application/json'
  const target = googleTarget(apiBase ?? BASE_URL, { model, method: methodOf(call), accept, apiKey, extraHeaders })
  return { ...target, body: Buffer.from(JSON.stringify(translateRequest(call))) }
}

interface Asked extends Pick<ProviderCall, 'model' | 'apiKey' | 'extraHeaders'> {
  /** `generateContent` */
  method: string
  accept: string
}

/** Where a method of a model is, and what is said of who asks. */
export function googleTarget(
  address: string,
  { model, method, accept, apiKey, extraHeaders }: Asked,
): Omit<UpstreamRequest, 'body'> {
  const base = new URL(address)
  const headers = ownHeaders(accept, extraHeaders)
  // In the header, never in the address: addresses are logged on the way.
  if (apiKey !== null) headers['x-goog-api-key'] = apiKey
  return { origin: base.origin, path: `${pathOf(base)}/${resourceOf(model)}:${method}`, headers }
}

/** An address without a path is Google's own host, or a proxy in its place. */
function pathOf({ pathname }: URL): string {
  const path = pathname.replace(/\/+$/, '')
  return path === '' ? '/v1beta' : path
}

/** Names may come from callers: none may lead to another path. */
function resourceOf(model: string): string {
  const name = bareModel(model)
  const tuned = name.startsWith('tunedModels/')
  return `${tuned ? 'tunedModels' : 'models'}/${encodeURIComponent(tuned ? name.slice('tunedModels/'.length) : name)}`
}

function methodOf({ request }: ProviderCall): string {
  // Without alt=sse a stream is one JSON array.
  return request.stream ? 'streamGenerateContent?alt=sse' : 'generateContent'
}

/** The request's members, the operator's where it left them out, less what is dropped. */
function effectiveMembers(call: ProviderCall): Json {
  const members: Record<string, unknown> = { ...call.defaults, ...call.request.json }
  for (const name of call.drop) delete members[name]
  return members
}

function translateRequest(call: ProviderCall): Json {
  const json = effectiveMembers(call)
  const { systemInstruction, contents } = translateMessages(
    Array.isArray(json.messages) ? json.messages : [],
    call.model,
  )
  const generationConfig = translateSampling(json, call)
  const safety = json.safety_settings ?? asObject(asObject(json.extra_body)?.google)?.safety_settings
  const tier = json.service_tier
  return {
    contents,
    ...(systemInstruction === null ? {} : { systemInstruction }),
    ...(Object.keys(generationConfig).length === 0 ? {} : { generationConfig }),
    ...translateTools(json, call.model),
    ...(Array.isArray(safety) ? { safetySettings: safety } : {}),
    ...(tier === 'flex' || tier === 'priority' ? { serviceTier: tier } : {}),
  }
}

/** Members that have another name there, and nothing more. */
export const RENAMED: readonly (readonly [string, string])[] = [
  ['temperature', 'temperature'],
  ['top_p', 'topP'],
  ['top_k', 'topK'],
  ['seed', 'seed'],
  ['presence_penalty', 'presencePenalty'],
  ['frequency_penalty', 'frequencyPenalty'],
]

function translateSampling(json: Json, call: ProviderCall): Record<string, unknown> {
  const config: Record<string, unknown> = {}
  for (const [from, to] of RENAMED) {
    // A penalty of 0 is none; models that know no penalties refuse the word.
    if (typeof json[from] === 'number' && !(json[from] === 0 && from.endsWith('penalty'))) config[to] = json[from]
  }
  const cap = call.outputCap ?? largestCap(json)
  if (cap !== null) config.maxOutputTokens = cap
  const stops = (Array.isArray(json.stop) ? json.stop : [json.stop]).filter(
    (stop) => typeof stop === 'string' && stop !== '',
  )
  if (stops.length > 0) config.stopSequences = stops
  if (typeof json.n === 'number' && json.n > 1) config.candidateCount = json.n
  if (json.logprobs === true) {
    config.responseLogprobs = true
    if (typeof json.top_logprobs === 'number') config.logprobs = json.top_logprobs
  }
  if (Array.isArray(json.modalities) && json.modalities.includes('image')) {
    config.responseModalities = json.modalities.map((kind) => textOf(kind).toUpperCase())
  }
  const isOurs = call.outputCap !== null && call.outputCap < (largestCap(json) ?? Number.POSITIVE_INFINITY)
  const thinking = translateThinking(json, call.model, isOurs ? call.outputCap : null)
  if (thinking !== null && Object.keys(thinking).length > 0) config.thinkingConfig = thinking
  return { ...config, ...translateFormat(json.response_format) }
}

export function largestCap(json: Json): number | null {
  const caps = [json.max_completion_tokens, json.max_tokens].filter((cap) => typeof cap === 'number')
  return caps.length === 0 ? null : Math.max(...caps)
}

function translateFormat(value: unknown): Json {
  const format = asObject(value)
  if (format?.type === 'json_object') return { responseMimeType: 'application/json' }
  if (format?.type !== 'json_schema') return {}
  const schema = asObject(format.json_schema)?.schema
  return { responseMimeType: 'application/json', ...(asObject(schema) === null ? {} : { responseJsonSchema: schema }) }
}
