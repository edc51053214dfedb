/** The request as a provider of OpenAI's dialect gets it: the caller's bytes, with only those members changed that must be. */

import { bareId, CARRIED_MARKS } from './carried-id.ts'
import { parseExactJson } from './exact-json.ts'
import { asObject } from './json.ts'
import { type Change, changeMembers } from './json-members.ts'
import { NEVER_SENT } from './known-members/additions.ts'
import type { Path } from './known-members/shape.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import { ownHeaders } from './own-headers.ts'
import type { ChatRequest, ProviderCall, UpstreamRequest } from './provider.ts'
import { LETTER_ESCAPE } from './text-bytes.ts'

const CAPS = ['max_completion_tokens', 'max_tokens'] as const
type Cap = (typeof CAPS)[number]
/** Written by rules of their own, below. */
const OURS: ReadonlySet<string> = new Set([...CAPS, 'stream', 'stream_options'])

/** A refused parameter that stands in every message rather than on top. */
export const MESSAGE_NAMES = 'messages[].name'

export function prepareOpenAi(dialect: OpenAiFacts, call: ProviderCall): UpstreamRequest {
  const asked = { path: '/chat/completions', stream: call.request.stream, body: upstreamBody(dialect, call) }
  return openAiRequest(dialect, call, asked)
}

type Account = Pick<ProviderCall, 'apiKey' | 'apiBase' | 'organization' | 'extraHeaders' | 'model'>

/** To a path below the API's address, by the account that pays. */
export function openAiRequest(
  { baseUrl, pathOf, keyHeader = bearer }: Pick<OpenAiFacts, 'baseUrl' | 'pathOf' | 'keyHeader'>,
  { apiKey, apiBase, organization, extraHeaders, model }: Account,
  { path, stream, body }: { path: string; stream: boolean; body: Buffer },
): UpstreamRequest {
  const base = new URL(apiBase ?? baseUrl)
  const headers = ownHeaders(stream ? 'text/event-stream' : 'application/json', extraHeaders)
  if (apiKey !== null) Object.assign(headers, keyHeader(apiKey))
  if (organization !== null) headers['openai-organization'] = organization
  const own = base.pathname.replace(/\/$/, '')
  const full = pathOf?.(own, path, { search: base.search, model }) ?? `${own}${path}`
  return { origin: base.origin, path: `${full}${base.search}`, headers, body }
}

function bearer(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` }
}

function upstreamBody(dialect: OpenAiFacts, call: ProviderCall): Buffer {
  const { request } = call
  const changes: Change[] = leftOut(dialect, call).map((key) => ({ key, remove: true }))
  const model = dialect.sentAs?.(call.model) ?? call.model
  if (model !== request.model) changes.push({ key: 'model', value: JSON.stringify(model) })
  for (const [key, value] of Object.entries(call.defaults)) {
    if (Object.hasOwn(request.json, key) || call.drop.includes(key) || OURS.has(key)) continue
    changes.push({ key, value: JSON.stringify(value) })
  }
  changes.push(
    ...prunedMembers(call),
    ...messageChanges(call),
    ...capChanges(dialect, call),
    ...streamChanges(dialect, call),
  )
  for (const [key, value] of Object.entries(dialect.adds?.(call) ?? {})) changes.push({ key, value })
  return changedBody(request, changes)
}

/** The caller's bytes where nothing has to be changed in them. */
export function changedBody(request: Pick<ChatRequest, 'text' | 'members'>, changes: readonly Change[]): Buffer {
  const needed = changes.filter((change) => !isThere(request, change))
  return needed.length === 0 ? request.text : changeMembers(request.text, request.members, needed)
}

function leftOut(dialect: OpenAiFacts, { request: { json }, drop }: ProviderCall): string[] {
  const silent = Object.entries(dialect.saysNothing ?? {}).flatMap(([key, said]) => (json[key] === said ? [key] : []))
  return [...NEVER_SENT, ...drop, ...silent].filter((key) => Object.hasOwn(json, key))
}

/** Whether the caller's bytes say the same already. */
function isThere({ text, members }: Pick<ChatRequest, 'text' | 'members'>, change: Change): boolean {
  if ('remove' in change) return false
  const own = members.find(({ key }) => key === change.key)
  return own !== undefined && text.toString('utf8', own.valueStart, own.end) === change.value
}

/** Members with something below them to be left out; their numbers keep their digits. `messages` go the way of all messages. */
export function prunedMembers(call: Pruning): Change[] {
  const keys = new Set(call.dropAt.map(([top]) => String(top)))
  keys.delete('messages')
  return [...keys].map((key) => ({ key, value: JSON.stringify(pruned(call, key)) }))
}

interface Pruning extends Pick<ProviderCall, 'dropAt'> {
  request: Pick<ChatRequest, 'text' | 'members'>
}

function pruned({ request: { text, members }, dropAt }: Pruning, key: string): unknown {
  const own = members.find((member) => member.key === key)
  const value = own === undefined ? undefined : parseExactJson(text.toString('utf8', own.valueStart, own.end))
  for (const [top, ...path] of dropAt) if (top === key) removeAt(value, path)
  return value
}

/** @param path of a member that is there. */
export function removeAt(root: unknown, path: Path): void {
  let at = root as Record<string | number, unknown>
  for (const step of path.slice(0, -1)) at = at[step] as Record<string | number, unknown>
  delete at[path.at(-1)!]
}

/** Messages leave as they came, but for names the provider refuses and for ids that carry what another provider signed. */
function messageChanges(call: ProviderCall): Change[] {
  const { request, drop, dropAt } = call
  const nameless = drop.includes(MESSAGE_NAMES)
  const carrying = carriesId(request)
  const pruning = dropAt.some(([top]) => top === 'messages')
  if (!nameless && !carrying && !pruning) return []
  const list = pruning ? pruned(call, 'messages') : request.json.messages
  const messages: unknown[] = Array.isArray(list) ? list : []
  const changed = messages.map((value) => {
    const { name, ...rest } = asObject(value) ?? {}
    const message = nameless || name === undefined ? rest : { ...rest, name }
    return carrying ? withShortIds(message) : message
  })
  return [{ key: 'messages', value: JSON.stringify(changed) }]
}

/** Whether an id is longer than what is counted of it. Most requests have no mark in their bytes, and no escape that may hide one. */
function carriesId({ text, json }: ChatRequest): boolean {
  const mayCarry = CARRIED_MARKS.some((mark) => text.includes(mark)) || text.includes(LETTER_ESCAPE)
  if (!mayCarry || !Array.isArray(json.messages)) return false
  const isCarrying = (id: unknown) => typeof id === 'string' && bareId(id) !== id
  return json.messages.some((message) => {
    const { tool_call_id: id, tool_calls: calls } = asObject(message) ?? {}
    return isCarrying(id) || (Array.isArray(calls) && calls.some((call) => isCarrying(asObject(call)?.id)))
  })
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
 * The cap, ours or the caller's or the operator's, is written in every member the server may read, each with the same number: one
 * that it does not know is none.
 */
function capChanges(dialect: OpenAiFacts, call: ProviderCall): Change[] {
  const { request, defaults, drop } = call
  const preset = CAPS.filter((key) => typeof defaults[key] === 'number' && !drop.includes(key))
  const operators = preset.length === 0 ? null : Math.max(...preset.map((key) => Number(defaults[key])))
  const cap = call.outputCap ?? request.outputCap ?? operators
  if (cap === null) return []
  const places = capPlaces(dialect, call, preset)
  return CAPS.flatMap((key): Change[] => {
    if (places.includes(key)) return [{ key, value: String(cap) }]
    return typeof request.json[key] === 'number' ? [{ key, remove: true }] : []
  })
}

/**
 * Where the model takes it. A provider that takes either may refuse both (OpenAI does), so at its own host it stays where the caller
 * put it, else the operator; another server may know only the one or only the other, and gets both.
 */
function capPlaces(dialect: OpenAiFacts, call: ProviderCall, preset: readonly Cap[]): readonly Cap[] {
  const taken = dialect.capMember(call.model)
  if (taken !== 'either') return [taken]
  if (!isOwnHost(dialect, call.apiBase)) return CAPS
  const own = CAPS.filter((key) => typeof call.request.json[key] === 'number')
  return own.length > 0 ? own : [preset[0] ?? 'max_completion_tokens']
}

/** Whether a call goes to the provider itself: what is known of its API holds there, and at no other server of its dialect. */
export function isOwnHost(
  { domain, alsoAt = [] }: Pick<OpenAiFacts, 'domain' | 'alsoAt'>,
  apiBase: string | null,
): boolean {
  if (apiBase === null) return true
  const { hostname } = new URL(apiBase)
  return [domain, ...alsoAt].some((own) => hostname === own || hostname.endsWith(`.${own}`))
}

/**
 * Usage is always asked for, in our words only; without it a stream has to be counted. What else may stand there (padding against
 * eavesdroppers) is left to the server's default, since options of the caller's make some servers refuse the question.
 */
function streamChanges({ asksUsage = true }: OpenAiFacts, { request, askUsage }: ProviderCall): Change[] {
  if (request.stream && askUsage && asksUsage) return [{ key: 'stream_options', value: '{"include_usage":true}' }]
  return 'stream_options' in request.json ? [{ key: 'stream_options', remove: true }] : []
}
