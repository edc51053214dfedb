/** A request for a response as its provider gets it: the caller's bytes, with only those members changed that must be. */
import { bareId, CARRIED_MARKS } from '../carried-id.ts'
import { asObject } from '../json.ts'
import type { Change } from '../json-members.ts'
import { NEVER_SENT } from '../known-members/additions.ts'
import { changedBody, openAiRequest, prunedMembers } from '../openai-body.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import type { UpstreamRequest } from '../provider.ts'
import type { ResponsesCall } from '../responses.ts'
import { LETTER_ESCAPE } from '../text-bytes.ts'
import { responseDefaults } from './defaults.ts'
import type { ResponsesFacts } from './facts.ts'
import { toolBound } from './tools.ts'

export function prepareResponse(dialect: OpenAiFacts, facts: ResponsesFacts, call: ResponsesCall): UpstreamRequest {
  const asked = { path: '/responses', stream: call.request.stream, body: upstreamBody(dialect, facts, call) }
  return openAiRequest(dialect, call, asked)
}

function upstreamBody(dialect: OpenAiFacts, facts: ResponsesFacts, call: ResponsesCall): Buffer {
  const { request, drop } = call
  const { json } = request
  const changes: Change[] = [...NEVER_SENT, ...drop]
    .filter((key) => Object.hasOwn(json, key))
    .map((key) => ({ key, remove: true }))
  const model = dialect.sentAs?.(call.model) ?? call.model
  if (model !== request.model) changes.push({ key: 'model', value: JSON.stringify(model) })
  const defaults = responseDefaults(call.defaults)
  for (const [key, value] of Object.entries(defaults))
    if (!Object.hasOwn(json, key) && !drop.includes(key)) changes.push({ key, value: JSON.stringify(value) })
  if (call.outputCap !== null) changes.push({ key: 'max_output_tokens', value: String(call.outputCap) })
  const asked = { ...defaults, ...json }
  const most = toolBound(asked, facts)
  if (most !== null) changes.push({ key: 'max_tool_calls', value: String(most) })
  changes.push(...prunedMembers(call), ...shortIds(call), ...stateless(dialect, facts, call, asked))
  for (const [key, value] of Object.entries(dialect.adds?.({ ...call, defaults }) ?? {})) changes.push({ key, value })
  return changedBody(request, changes)
}

/** A conversation may have begun with Claude or Gemini, whose ids of calls carry what they signed; here an id has 64 characters at most. */
function shortIds({ request: { text, json }, dropAt }: ResponsesCall): Change[] {
  if (!Array.isArray(json.input) || dropAt.some(([top]) => top === 'input')) return []
  if (!CARRIED_MARKS.some((mark) => text.includes(mark)) && !text.includes(LETTER_ESCAPE)) return []
  const items = json.input.map((value) => {
    const item = asObject(value)
    return typeof item?.call_id === 'string' ? { ...item, call_id: bareId(item.call_id) } : value
  })
  const isSame = items.every((item, index) => asObject(item)?.call_id === callIdOf(json.input, index))
  return isSame ? [] : [{ key: 'input', value: JSON.stringify(items) }]
}

function callIdOf(input: unknown, index: number): unknown {
  return Array.isArray(input) ? asObject(input[index])?.call_id : undefined
}

const ENCRYPTED = 'reasoning.encrypted_content'

/**
 * Nothing is kept at the provider, where all who call through one account could ask for it, unless the operator says so. A model's thoughts are then of use to the
 * next request only where they come back encrypted; who said himself that nothing is to be kept says that himself too.
 */
function stateless(
  { model: factsOf }: OpenAiFacts,
  { stores, encryptsThoughts }: ResponsesFacts,
  { model, defaults }: ResponsesCall,
  { store, include }: Readonly<Record<string, unknown>>,
): Change[] {
  if (!stores || store === false || defaults.store === true) return []
  const changes: Change[] = [{ key: 'store', value: 'false' }]
  const asked: unknown[] = Array.isArray(include) ? include : []
  if (encryptsThoughts && factsOf(model).hiddenReasoning && !asked.includes(ENCRYPTED))
    changes.push({ key: 'include', value: JSON.stringify([...asked, ENCRYPTED]) })
  return changes
}
