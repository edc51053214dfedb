/**
 * Google's own OpenAI-compatible endpoint, chosen by an `api_base` that ends in `/openai`. It speaks the dialect with an accent: tool
 * calls come without index and with empty ids, a call may end with `stop`, every frame says whose words it is, thoughts are billed but
 * stand only in the total, and a signature wants to come back with its call. So calls get ids of ours that carry the signature, as for
 * the native API, and on the way back both are put where Google gave them. All other bytes pass through.
 */

import { asObject, parseJson } from '../json.ts'
import { type Change, changeMembers, objectMembers } from '../json-members.ts'
import { openAiDialect } from '../openai-dialect.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import type {
  ChatCapability,
  ProviderCall,
  ProviderError,
  ProviderResponse,
  ResponseContext,
  StreamReader,
  UpstreamRequest,
} from '../provider.ts'
import { readerAround } from '../reader-around.ts'
import { createSseFrames, dataFrame, dataLine, isCanonical } from '../sse-frames.ts'
import { createCallNamer } from './candidate.ts'
import { LABEL } from './errors.ts'
import { googleMediaTokens } from './media.ts'
import { googleModel, googleTier } from './models.ts'
import { textOf } from './parts.ts'
import { NEUTRAL } from './refusals.ts'
import { extraSignature, splitToolCallId, unpackGoogleId } from './tool-id.ts'

type Json = Record<string, unknown>

export const COMPATIBLE_FACTS: OpenAiFacts = {
  name: 'gemini',
  label: LABEL,
  baseUrl: 'https://generativelanguage.googleapis.com/v1beta/openai',
  keyVariables: [],
  domain: 'googleapis.com',
  model: googleModel,
  mediaTokens: googleMediaTokens,
  unpackId: unpackGoogleId,
  tierMultiplier: googleTier,
  capMember: () => 'either',
  usage: { totalIsTruth: true },
}
const COMPATIBLE: ChatCapability = openAiDialect(COMPATIBLE_FACTS).chat

export const compatibleTakes = COMPATIBLE.takes

export function isCompatible(apiBase: string | null): boolean {
  return apiBase !== null && /\/openai$/.test(new URL(apiBase).pathname.replace(/\/+$/, ''))
}

export function prepareCompatible(call: ProviderCall): UpstreamRequest {
  const { request } = call
  // It refuses members it does not know, and these no response depends on.
  const drop = [...call.drop, ...Object.keys(request.json).filter((name) => NEUTRAL.has(name))]
  const messages = unpackedMessages(request.json.messages)
  if (messages === null) return COMPATIBLE.prepare({ ...call, drop })
  const text = changeMembers(request.text, request.members, [{ key: 'messages', value: JSON.stringify(messages) }])
  const packed = { ...request, text, members: objectMembers(text), json: { ...request.json, messages } }
  return COMPATIBLE.prepare({ ...call, request: packed, drop })
}

/** With the ids Google gave, and its signatures beside them; null where nothing is to be changed. */
function unpackedMessages(value: unknown): unknown[] | null {
  let changed = false
  const plain = (id: unknown) => {
    const split = splitToolCallId(typeof id === 'string' ? id : '')
    if (split.signature !== null) changed = true
    return split
  }
  const messages = (Array.isArray(value) ? value : []).map((entry: unknown) => {
    const message = asObject(entry)
    if (message?.role === 'tool') return { ...message, tool_call_id: plain(message.tool_call_id).id }
    if (!Array.isArray(message?.tool_calls)) return entry
    const calls = message.tool_calls.map((item: unknown) => {
      const call = asObject(item) ?? {}
      const { id, signature } = plain(call.id)
      if (signature === null || extraSignature(call) !== null) return { ...call, id }
      return { ...call, id, extra_content: { google: { thought_signature: signature } } }
    })
    return { ...message, tool_calls: calls }
  })
  return changed ? messages : null
}

export function readCompatibleResponse(
  body: Buffer,
  context: ResponseContext,
): ProviderResponse | ProviderError | null {
  const json = asObject(parseJson(body))
  if (json === null || !Array.isArray(json.choices)) return null
  let changed = false
  const choices = json.choices.map((value: unknown, position) => {
    const choice = asObject(value)
    const message = asObject(choice?.message)
    if (choice === null || !Array.isArray(message?.tool_calls) || message.tool_calls.length === 0) return value
    changed = true
    const calls = namedCalls(message.tool_calls, extraSignature(message), createCallNamer(context.callId, position))
    const finished = choice.finish_reason === 'stop' ? 'tool_calls' : choice.finish_reason
    const unnumbered = calls.map(({ index: _, ...call }) => call)
    return { ...choice, finish_reason: finished, message: { ...message, tool_calls: unnumbered } }
  })
  const named = changed
    ? changeMembers(body, objectMembers(body), [{ key: 'choices', value: JSON.stringify(choices) }])
    : body
  return COMPATIBLE.readResponse(named, context)
}

/** `own` is the signature of the whole message, which belongs to its first call where no call has one. */
function namedCalls(calls: readonly unknown[], own: string | null, name: ReturnType<typeof createCallNamer>): Json[] {
  const isSigned = calls.some((call) => extraSignature(call) !== null)
  return calls.map((value, position) => {
    const call = asObject(value) ?? {}
    const body = asObject(call.function) ?? {}
    const id = typeof call.id === 'string' && call.id !== '' ? call.id : null
    const signature = extraSignature(call) ?? (position === 0 && !isSigned ? own : null)
    const named = name({ name: textOf(body.name), args: null, id, signature })
    return { ...call, index: named.index, id: named.id, type: 'function', function: { ...body } }
  })
}

/** Corrects tool calls, the finish reason after them, and the role that each frame repeats, then reads the stream as OpenAI's. */
export function readCompatibleStream(context: ResponseContext): StreamReader {
  const inner = COMPATIBLE.readStream(context)
  const called = new Map<number, ReturnType<typeof createCallNamer>>()
  const opened = new Set<number>()

  const scanner = createSseFrames((frame) => {
    const payload = dataLine(frame)
    if (payload === null) return true
    if (payload[0] === BRACKET && payload.includes(ERROR))
      return dataFrame(payload.subarray(1, payload.lastIndexOf(BRACKET_END)))
    const isConcerned =
      [ROLE, TOOL_CALLS].some((word) => payload.includes(word)) || (called.size > 0 && payload.includes(FINISH))
    const chunk = isConcerned ? asObject(parseJson(payload)) : null
    if (chunk === null || !Array.isArray(chunk.choices)) return isCanonical(frame) ? true : dataFrame(payload)
    const changes: Change[] = [{ key: 'choices', value: JSON.stringify(chunk.choices.map(corrected)) }]
    return dataFrame(changeMembers(payload, objectMembers(payload), changes))
  })

  function corrected(value: unknown): unknown {
    const choice = asObject(value)
    const delta = asObject(choice?.delta)
    if (choice === null || delta === null) return value
    const index = typeof choice.index === 'number' ? choice.index : 0
    const { role, ...said } = delta
    const isFirst = role !== undefined && !opened.has(index)
    if (isFirst) opened.add(index)
    const calls: unknown[] = Array.isArray(delta.tool_calls) ? delta.tool_calls : []
    if (calls.length > 0 && !called.has(index)) called.set(index, createCallNamer(context.callId, index))
    const name = called.get(index)
    const named = name === undefined || calls.length === 0 ? null : namedCalls(calls, extraSignature(delta), name)
    const finished = choice.finish_reason === 'stop' && called.has(index) ? 'tool_calls' : choice.finish_reason
    return {
      ...choice,
      delta: { ...(isFirst ? { role } : {}), ...said, ...(named === null ? {} : { tool_calls: named }) },
      ...('finish_reason' in choice ? { finish_reason: finished } : {}),
    }
  }

  return readerAround(inner, {
    push(chunk) {
      const frames = scanner.push(chunk)
      return frames === null ? { bytes: null, done: false, error: null } : inner.push(frames)
    },
    end() {
      const frames = scanner.end()
      const before = frames === null ? null : inner.push(frames)
      const last = inner.end()
      if (before?.bytes == null) return last
      return { ...last, bytes: last.bytes === null ? before.bytes : Buffer.concat([before.bytes, last.bytes]) }
    },
  })
}

const ROLE = Buffer.from('"role"')
const TOOL_CALLS = Buffer.from('"tool_calls"')
const FINISH = Buffer.from('"finish_reason"')
const ERROR = Buffer.from('"error"')
const BRACKET = 0x5b
const BRACKET_END = 0x5d
