/**
 * What a chat request's input counts as, bounded from above without a tokenizer: what a hold covers before the call.
 * It never throws on a malformed request (validation is elsewhere), visits every value once, and walks nested values with
 * a list of its own: ten thousand nested arrays are a valid JSON body and would overflow a recursive walk.
 */
import { estimateText } from './estimate-text.ts'

export { estimateText } from './estimate-text.ts'

/** The members of a chat request that count as input. Everything else is free. */
export interface ChatInput {
  readonly messages?: unknown
  readonly tools?: unknown
  readonly functions?: unknown
  readonly response_format?: unknown
  readonly prediction?: unknown
  readonly web_search_options?: unknown
}

export interface InputEstimate {
  /** Text tokens, overheads included; images, files and audio are apart. */
  tokens: number
  /** UTF-8 bytes of the same text plus the overheads: a bound nothing can exceed. Never below `tokens`. */
  bytes: number
  /** Tokens of images and files by the provider's rules. */
  media: number
  /** Tokens of audio by the provider's rules. */
  audioInput: number
  /** Uses of separately priced tools the request asks for: `{ web_search: 1 }`. */
  toolFees: Record<string, number>
  /** Parts nothing in the request bounds, e.g. `messages[0].content[1].file.file_id`. */
  unbounded: string[]
}

/** The most tokens a content part that is not text can take; `null` where the request doesn't tell. A provider's rules. */
export type MediaTokens = (part: unknown) => number | null

/** OpenAI frames each message with up to four tokens and opens the answer with three. */
const MESSAGE_OVERHEAD = 4
const PRIMING = 3
/** Markers around each call and each definition; measured definitions cost less than their JSON text. */
const TOOL_OVERHEAD = 8

/** Estimates a request as its client wrote it. */
export function estimateChatInput(request: ChatInput, mediaTokens: MediaTokens): InputEstimate {
  const estimate: InputEstimate = { tokens: 0, bytes: 0, media: 0, audioInput: 0, toolFees: {}, unbounded: [] }
  overhead(estimate, PRIMING)
  const messages = Array.isArray(request.messages) ? request.messages : []
  messages.forEach((message, index) => {
    countMessage(estimate, message, `messages[${index}]`, mediaTokens)
  })
  for (const list of [request.tools, request.functions]) {
    if (list === undefined || list === null) continue
    overhead(estimate, TOOL_OVERHEAD * (Array.isArray(list) ? list.length + 1 : 1))
    countJson(estimate, list)
  }
  for (const value of [request.response_format, members(request.prediction)?.content]) {
    if (value !== undefined && value !== null) countJson(estimate, value)
  }
  if (members(request.web_search_options) !== null) estimate.toolFees.web_search = 1
  estimate.bytes = Math.max(estimate.bytes, estimate.tokens)
  return estimate
}

function countMessage(estimate: InputEstimate, value: unknown, path: string, mediaTokens: MediaTokens): void {
  overhead(estimate, MESSAGE_OVERHEAD)
  const message = members(value)
  if (message === null) {
    countJson(estimate, value)
    return
  }
  for (const [name, member] of Object.entries(message)) {
    if (member === null || member === undefined || name === 'role' || name === 'tool_call_id') continue
    if (name === 'content') countContent(estimate, member, path, mediaTokens)
    else if (name === 'tool_calls' && Array.isArray(member)) for (const call of member) countToolCall(estimate, call)
    else if (name === 'audio') estimate.unbounded.push(`${path}.audio.id`)
    else if (typeof member === 'string') countText(estimate, member, 1)
    // Reasoning, annotations, a legacy function call: providers differ in what they read back, so all of it counts.
    else countJson(estimate, member)
  }
}

function countContent(estimate: InputEstimate, content: unknown, path: string, mediaTokens: MediaTokens): void {
  if (typeof content === 'string') countText(estimate, content, 0)
  else if (!Array.isArray(content)) countJson(estimate, content)
  else {
    content.forEach((part, index) => {
      countPart(estimate, part, `${path}.content[${index}]`, mediaTokens)
    })
  }
}

function countPart(estimate: InputEstimate, value: unknown, path: string, mediaTokens: MediaTokens): void {
  const part = members(value)
  if (part === null) {
    countJson(estimate, value)
    return
  }
  // A stray text does not make an image a text: both count, whichever of them the provider reads.
  for (const text of [part.text, part.refusal]) if (typeof text === 'string') countText(estimate, text, 1)
  if (part.type !== 'text' && part.type !== 'refusal') {
    const tokens = mediaTokens(part)
    if (tokens === null) estimate.unbounded.push(`${path}.${unboundedMember(part)}`)
    else if (part.type === 'input_audio') estimate.audioInput += tokens
    else estimate.media += tokens
  }
}

/** Names what the caller can change: the reference that hides the size. */
function unboundedMember(part: Record<string, unknown>): string {
  const type = typeof part.type === 'string' ? part.type.slice(0, 64) : 'type'
  const reference = Object.keys(members(part[type]) ?? {}).find((name) =>
    /^(?:file_id|id|url|file_url|data)$/.test(name),
  )
  return reference === undefined ? type : `${type}.${reference}`
}

/** The name and the arguments are read back; ids only link messages. */
function countToolCall(estimate: InputEstimate, value: unknown): void {
  overhead(estimate, TOOL_OVERHEAD)
  const call = members(value)
  const body = members(call?.function) ?? members(call?.custom)
  if (body === null) {
    countJson(estimate, value)
    return
  }
  for (const member of Object.values(body)) {
    if (typeof member === 'string') countText(estimate, member, 1)
    else countJson(estimate, member)
  }
}

function countText(estimate: InputEstimate, text: string, extra: number): void {
  estimate.tokens += estimateText(text) + extra
  estimate.bytes += Buffer.byteLength(text) + extra
}

function overhead(estimate: InputEstimate, tokens: number): void {
  estimate.tokens += tokens
  estimate.bytes += tokens
}

/** Counts a value as the JSON text it would be: every name and string with its quotes and escapes, a token a bracket. */
function countJson(estimate: InputEstimate, root: unknown): void {
  const open: unknown[] = [root]
  for (let value = open.pop(); value !== undefined || open.length > 0; value = open.pop()) {
    if (typeof value !== 'object' || value === null) {
      // A separator each: the comma or the end of the text.
      countText(estimate, typeof value === 'string' ? JSON.stringify(value) : String(value), 1)
      continue
    }
    overhead(estimate, 2)
    if (Array.isArray(value)) {
      // Not push(...value): a spread of a few hundred thousand elements overflows the stack.
      for (const element of value) open.push(element)
      continue
    }
    for (const [name, member] of Object.entries(value)) {
      countText(estimate, `"${name}":`, 0)
      open.push(member)
    }
  }
}

function members(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null
}
