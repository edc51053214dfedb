/** The request as a provider of OpenAI's dialect gets it: the caller's bytes, with only those members changed that must be. */
import { type Change, changeMembers, objectMembers } from '../src/http/json-members.ts'
import { bareId, CARRIED_MARKS } from './carried-id.ts'
import { asObject } from './json.ts'
import type { OpenAiDialect } from './openai-dialect.ts'
import type { ChatRequest, ProviderCall, UpstreamRequest } from './provider.ts'

/** Ours or Ops-Center's, never the provider's business. */
const NEVER_SENT = ['power_level', 'task_type', 'privacy_required']
const CAPS = ['max_completion_tokens', 'max_tokens'] as const
type Cap = (typeof CAPS)[number]

/** A refused parameter that stands in every message rather than on top. */
export const MESSAGE_NAMES = 'messages[].name'

export function prepareOpenAi(dialect: OpenAiDialect, call: ProviderCall): UpstreamRequest {
  const base = new URL(call.apiBase ?? dialect.baseUrl)
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
    body: upstreamBody(dialect, call),
  }
}

function upstreamBody(dialect: OpenAiDialect, call: ProviderCall): Buffer {
  const { request } = call
  const dropped = [...NEVER_SENT, ...call.drop]
  const changes: Change[] = dropped.filter((key) => key in request.json).map((key) => ({ key, remove: true }))
  const model = dialect.sentAs?.(call.model) ?? call.model
  if (model !== request.model) changes.push({ key: 'model', value: JSON.stringify(model) })
  const isCapped = request.outputCap !== null || call.outputCap !== null
  for (const [key, value] of Object.entries(call.defaults)) {
    if (key in request.json || call.drop.includes(key) || CAPS.includes(key as Cap)) continue
    changes.push({ key, value: JSON.stringify(value) })
  }
  if (!isCapped) changes.push(...presetCap(dialect, call))
  changes.push(...messageChanges(call), ...capChanges(dialect, call), ...streamChanges(call))
  return changes.length === 0 ? request.text : changeMembers(request.text, request.members, changes)
}

/** Messages leave as they came, but for names the provider refuses and for ids that carry what another provider signed. */
function messageChanges({ request, drop }: ProviderCall): Change[] {
  const nameless = drop.includes(MESSAGE_NAMES)
  const carrying = CARRIED_MARKS.some((mark) => request.text.includes(mark))
  if (!nameless && !carrying) return []
  const messages: unknown[] = Array.isArray(request.json.messages) ? request.json.messages : []
  const changed = messages.map((value) => {
    const { name, ...rest } = asObject(value) ?? {}
    const message = nameless || name === undefined ? rest : { ...rest, name }
    return carrying ? withShortIds(message) : message
  })
  return [{ key: 'messages', value: JSON.stringify(changed) }]
}

/** A conversation may have begun with Claude or Gemini; servers of this dialect take ids of 40 characters and more, not of 4 000. */
function withShortIds(message: Record<string, unknown>): Record<string, unknown> {
  const shorten = (id: unknown) => (typeof id === 'string' ? bareId(id) : id)
  const calls = message.tool_calls
  return {
    ...message,
    ...(message.tool_call_id === undefined ? {} : { tool_call_id: shorten(message.tool_call_id) }),
    ...(Array.isArray(calls)
      ? { tool_calls: calls.map((call) => ({ ...asObject(call), id: shorten(asObject(call)?.id) })) }
      : {}),
  }
}

/**
 * The cap stands where the model takes it; where it takes either, where the caller put it (in both, if it did: whichever the
 * provider follows must not exceed ours), else where the operator did.
 */
function capChanges(dialect: OpenAiDialect, call: ProviderCall): Change[] {
  const own = CAPS.filter((key) => typeof call.request.json[key] === 'number')
  const value = call.outputCap ?? call.request.outputCap
  if (value === null) return []
  const taken = takenCap(dialect, call)
  if (taken === 'either') {
    if (call.outputCap === null) return []
    const preset = CAPS.find((key) => key in call.defaults)
    const places: Cap[] = own.length > 0 ? own : [preset ?? 'max_completion_tokens']
    return places.map((key) => ({ key, value: String(value) }))
  }
  const misplaced = own.filter((key) => key !== taken)
  if (misplaced.length === 0 && call.outputCap === null) return []
  return [...misplaced.map((key): Change => ({ key, remove: true })), { key: taken, value: String(value) }]
}

/** The operator's own cap, where the model takes it: one that a server does not know is none. */
function presetCap(dialect: OpenAiDialect, call: ProviderCall): Change[] {
  const { defaults, request } = call
  const preset = CAPS.filter((key) => key in defaults && !(key in request.json) && !call.drop.includes(key))
  const taken = takenCap(dialect, call)
  if (taken === 'either' || preset.length === 0)
    return preset.map((key) => ({ key, value: JSON.stringify(defaults[key]) }))
  return [{ key: taken, value: String(Math.max(...preset.map((key) => Number(defaults[key])))) }]
}

/** Other servers behind an api_base may know only the older name, and are left what the caller wrote. */
function takenCap(dialect: OpenAiDialect, call: ProviderCall): ReturnType<OpenAiDialect['capMember']> {
  const taken = dialect.capMember(call.model)
  if (call.apiBase === null || taken !== 'either') return taken
  const written = CAPS.some((key) => typeof call.request.json[key] === 'number' || key in call.defaults)
  return written ? 'either' : 'max_tokens'
}

/** Usage is always asked for; without it a stream has to be counted. */
function streamChanges(call: ProviderCall): Change[] {
  const { request } = call
  if (!request.stream) return []
  if (!call.askUsage) return 'stream_options' in request.json ? [{ key: 'stream_options', remove: true }] : []
  return request.includeUsage ? [] : [{ key: 'stream_options', value: streamOptions(request) }]
}

function streamOptions(request: ChatRequest): string {
  const own = request.members.find((member) => member.key === 'stream_options')
  if (own === undefined || asObject(request.json.stream_options) === null) return '{"include_usage":true}'
  const text = request.text.subarray(own.valueStart, own.end)
  return changeMembers(text, objectMembers(text), [{ key: 'include_usage', value: 'true' }]).toString('utf8')
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}
