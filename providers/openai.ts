/** OpenAI, chat completions: the dialect every caller speaks, so bytes pass through and only single members are changed. */
import { type Change, changeMembers, objectMembers } from '../src/http/json-members.ts'
import { asObject, parseJson } from './json.ts'
import { readOpenAiError, readOpenAiErrorFrame } from './openai-errors.ts'
import { openAiMediaTokens, openAiModel, serviceTierMultiplier } from './openai-models.ts'
import { collectText, readOpenAiStream, withCost } from './openai-stream.ts'
import { readOpenAiUsage } from './openai-usage.ts'
import type { Answer, ChatRequest, Provider, ProviderCall, UpstreamRequest } from './provider.ts'

const LABEL = 'OpenAI'
const BASE_URL = 'https://api.openai.com/v1'
/** Ours or Ops-Center's, never the provider's business. */
const NEVER_SENT = ['power_level', 'task_type', 'privacy_required']
const CAPS = ['max_completion_tokens', 'max_tokens']

export const openai: Provider = {
  name: 'openai',
  label: LABEL,
  baseUrl: BASE_URL,
  model: openAiModel,
  mediaTokens: openAiMediaTokens,
  tierMultiplier: serviceTierMultiplier,
  toolUses,
  prepare,
  readAnswer,
  readStream: (choices) => readOpenAiStream(choices, (body) => readOpenAiErrorFrame(LABEL, body)),
  readError: (status, headers, body) => readOpenAiError(LABEL, status, headers, body),
}

/** A search model searches on every call, others when told to; the fee is per call and in no usage field. */
function toolUses(json: Readonly<Record<string, unknown>>, model: string): Record<string, number> {
  const searches = model.includes('-search-preview') || asObject(json.web_search_options) !== null
  return searches ? { web_search: 1 } : {}
}

function prepare(call: ProviderCall): UpstreamRequest {
  const base = new URL(call.apiBase ?? BASE_URL)
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: call.request.stream ? 'text/event-stream' : 'application/json',
    'accept-encoding': 'identity',
    'user-agent': 'tollgate',
    ...lowerCase(call.extraHeaders),
  }
  if (call.apiKey !== null) headers.authorization = `Bearer ${call.apiKey}`
  if (call.organization !== null) headers['openai-organization'] = call.organization
  return {
    origin: base.origin,
    path: `${base.pathname.replace(/\/$/, '')}/chat/completions${base.search}`,
    headers,
    body: upstreamBody(call),
  }
}

/** The caller's bytes, with only those members changed that must be. */
function upstreamBody(call: ProviderCall): Buffer {
  const { request } = call
  const changes: Change[] = NEVER_SENT.filter((key) => key in request.json).map((key) => ({ key, remove: true }))
  if (call.model !== request.model) changes.push({ key: 'model', value: JSON.stringify(call.model) })
  const isCapped = request.outputCap !== null || call.outputCap !== null
  for (const [key, value] of Object.entries(call.defaults)) {
    if (key in request.json || (isCapped && CAPS.includes(key))) continue
    changes.push({ key, value: JSON.stringify(value) })
  }
  if (call.outputCap !== null) {
    for (const key of capMembers(call)) changes.push({ key, value: String(call.outputCap) })
  }
  if (request.stream && !request.includeUsage) changes.push({ key: 'stream_options', value: streamOptions(request) })
  return changes.length === 0 ? request.text : changeMembers(request.text, request.members, changes)
}

/**
 * Where the caller put its cap (in both, if it did: whichever the provider follows must not exceed ours), else where the
 * operator did, else where the model takes one. Servers behind an api_base may know only the older name.
 */
function capMembers(call: ProviderCall): string[] {
  const own = CAPS.filter((key) => typeof call.request.json[key] === 'number')
  if (own.length > 0) return own
  const preset = CAPS.find((key) => key in call.defaults)
  if (preset !== undefined) return [preset]
  return call.apiBase === null || openAiModel(call.model).hiddenReasoning ? ['max_completion_tokens'] : ['max_tokens']
}

/** Usage is always asked for; without it a stream can't be priced. */
function streamOptions(request: ChatRequest): string {
  const own = request.members.find((member) => member.key === 'stream_options')
  if (own === undefined || asObject(request.json.stream_options) === null) return '{"include_usage":true}'
  const text = request.text.subarray(own.valueStart, own.end)
  return changeMembers(text, objectMembers(text), [{ key: 'include_usage', value: 'true' }]).toString('utf8')
}

function readAnswer(body: Buffer): Answer | null {
  const json = asObject(parseJson(body))
  if (json === null || !Array.isArray(json.choices)) return null
  const choices = json.choices as ({ finish_reason?: unknown; message?: unknown } | null)[]
  const stated = readOpenAiUsage(json.usage)
  return {
    reading: {
      usage: stated?.usage ?? null,
      consistent: stated?.consistent ?? true,
      model: typeof json.model === 'string' && json.model !== '' ? json.model : null,
      serviceTier: typeof json.service_tier === 'string' ? json.service_tier : null,
    },
    finishReasons: choices.map((choice) => String(choice?.finish_reason ?? '')),
    outputText() {
      const pieces: string[] = []
      if (stated === null) for (const choice of choices) collectText(choice?.message, pieces)
      return pieces.join('')
    },
    body: (cost, usage) => withUsageCost(body, stated === null ? usage : null, cost),
  }
}

/** The answer as received, with our cost in `usage`; `usage` replaces one that is missing or unusable. */
function withUsageCost(body: Buffer, usage: unknown, cost: string): Buffer {
  const members = objectMembers(body)
  const own = members.find((member) => member.key === 'usage')
  const value =
    usage === null && own !== undefined ? body.subarray(own.valueStart, own.end) : Buffer.from(JSON.stringify(usage))
  return changeMembers(body, members, [{ key: 'usage', value: withCost(value, cost).toString('utf8') }])
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}
