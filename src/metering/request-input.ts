/**
 * What of a chat request becomes input. One walk, for what a hold covers and for what is counted afterwards: both see the same members.
 * The rule is that everything counts but what is known not to: a member nobody has heard of may be one a model reads.
 *
 * It never throws on a malformed request (validation is elsewhere) and visits every value once.
 */
import { bareId } from '../../providers/carried-id.ts'

export type ChatInput = Readonly<Record<string, unknown>>

export interface InputVisitor {
  /** `isSure`: providers are known to bill it. What some of them leave out is held, and not charged where nobody stated usage. */
  text(text: string, isSure: boolean): void
  /** A value that a model reads as JSON, or as something shorter. */
  json(value: unknown, isSure: boolean): void
  /** Tokens around what is said. */
  framing(tokens: number, isSure: boolean): void
  /** One of the roles every provider knows: a token. */
  role(role: string): void
  /** A content part that is not text. */
  media(part: Readonly<Record<string, unknown>>, path: string): void
  /** Something of which the request tells no size. */
  unbounded(path: string): void
  /** Text the model may repeat; what it does not repeat is billed as output all the same. */
  prediction(content: unknown): void
}

/** What a tool call's id becomes: as its model gave it, and what it carries for this provider, as text. */
export type UnpackId = (id: string) => { id: string; carried: string }

/** OpenAI frames each message with three tokens and its role, and opens the response with three. */
const MESSAGE_FRAME = 3
const PRIMING = 3
/** Markers around each call and each definition; measured definitions cost less than their JSON text. */
const TOOL_FRAME = 8

/** A token each. */
const ROLES: ReadonlySet<string> = new Set(['system', 'developer', 'user', 'assistant', 'tool', 'function'])

/** Tells the provider how to respond, whom to bill or what to remember. */
const NEVER_INPUT: ReadonlySet<string> = new Set([
  ...[
    'model',
    'models',
    'stream',
    'stream_options',
    'n',
    'user',
    'metadata',
    'store',
    'service_tier',
    'safety_identifier',
  ],
  ...['max_tokens', 'max_completion_tokens', 'temperature', 'top_p', 'top_k', 'seed', 'stop', 'logit_bias', 'logprobs'],
  ...[
    'top_logprobs',
    'presence_penalty',
    'frequency_penalty',
    'modalities',
    'audio',
    'verbosity',
    'parallel_tool_calls',
  ],
  ...['reasoning', 'reasoning_effort', 'thinking', 'include_reasoning', 'prompt_cache_key', 'prompt_cache_retention'],
  ...['cache_control', 'safety_settings', 'provider', 'route', 'plugins', 'transforms', 'usage', 'web_search_options'],
  ...['power_level', 'task_type', 'privacy_required'],
])

export function visitInput(request: ChatInput, unpackId: UnpackId, visitor: InputVisitor): void {
  visitor.framing(PRIMING, true)
  for (const [name, value] of Object.entries(request)) {
    if (value === null || value === undefined || NEVER_INPUT.has(name)) continue
    if (name === 'messages') visitMessages(value, unpackId, visitor)
    else if (name === 'tools' || name === 'functions') {
      visitor.framing(TOOL_FRAME * (Array.isArray(value) ? value.length + 1 : 1), false)
      visitor.json(value, true)
    } else if (name === 'prediction') {
      visitor.json(value, false)
      visitor.prediction(members(value)?.content)
    } else if (typeof value === 'string') visitor.text(value, false)
    // A number or a boolean is no text for the model.
    else if (typeof value === 'object') visitor.json(value, name === 'response_format')
  }
}

function visitMessages(value: unknown, unpackId: UnpackId, visitor: InputVisitor): void {
  if (!Array.isArray(value)) {
    visitor.json(value, false)
    return
  }
  value.forEach((message, index) => {
    visitMessage(message, `messages[${index}]`, unpackId, visitor)
  })
}

function visitMessage(value: unknown, path: string, unpackId: UnpackId, visitor: InputVisitor): void {
  visitor.framing(MESSAGE_FRAME, true)
  const message = members(value)
  if (message === null) {
    visitor.json(value, false)
    return
  }
  for (const [name, member] of Object.entries(message)) {
    if (member === null || member === undefined || name === 'cache_control') continue
    if (name === 'content') visitContent(member, path, visitor)
    else if (name === 'images' && Array.isArray(member)) {
      // What an assistant once drew, sent back: read as images where servers draw.
      for (const [index, image] of member.entries()) visitPart(image, `${path}.images[${index}]`, visitor)
    } else if (name === 'tool_calls' && Array.isArray(member)) {
      for (const call of member) visitToolCall(call, unpackId, visitor)
    } else if (name === 'audio') visitor.unbounded(`${path}.audio.id`)
    else if (name === 'tool_call_id' && typeof member === 'string') visitor.text(bareId(member), false)
    else if (name === 'role' && typeof member === 'string' && ROLES.has(member)) visitor.role(member)
    else if (typeof member === 'string') {
      visitor.text(member, name === 'role' || name === 'name')
      if (name !== 'role') visitor.framing(1, name === 'name')
    }
    // Reasoning, annotations: providers differ in what they read back.
    else visitor.json(member, name === 'function_call')
  }
}

function visitContent(content: unknown, path: string, visitor: InputVisitor): void {
  if (typeof content === 'string') visitor.text(content, true)
  else if (!Array.isArray(content)) visitor.json(content, true)
  else {
    content.forEach((part, index) => {
      visitPart(part, `${path}.content[${index}]`, visitor)
    })
  }
}

function visitPart(value: unknown, path: string, visitor: InputVisitor): void {
  const part = members(value)
  if (part === null) {
    visitor.json(value, true)
    return
  }
  const isText = part.type === 'text' || part.type === 'refusal' || part.type === 'input_text'
  // A stray text does not make an image a text, nor a stray image a text: both count, whichever of them the provider reads.
  if (!isText) visitor.media(part, `${path}.${unboundedMember(part)}`)
  for (const type of strayMedia(part)) visitor.media({ ...part, type }, `${path}.${type}`)
  for (const [name, member] of Object.entries(part)) {
    if (name === 'type' || name === 'cache_control') continue
    if (typeof member === 'object' && member !== null) visitor.json(isText ? member : withoutHolders(member), false)
    else if (typeof member === 'string' && (isText || !HOLDERS.has(name))) {
      visitor.text(member, name === 'text' || name === 'refusal')
      visitor.framing(1, false)
    }
  }
}

const MEDIA: readonly string[] = ['image_url', 'input_audio', 'file', 'video_url', 'audio_url']

/** Media beside what the part says it is: some servers go by the members there are. */
function strayMedia(part: Readonly<Record<string, unknown>>): readonly string[] {
  return MEDIA.filter((name) => name !== part.type && part[name] !== undefined && part[name] !== null)
}

/** Members of a part, or of its object, that hold the medium itself. What stands beside them (a file's name) is text. */
const HOLDERS: ReadonlySet<string> = new Set([
  'data',
  'url',
  'file_data',
  'image_url',
  'video_url',
  'audio_url',
  'file_url',
])
function withoutHolders(value: object): unknown {
  return Array.isArray(value) ? value : Object.fromEntries(Object.entries(value).filter(([name]) => !HOLDERS.has(name)))
}

/** Names the member that the caller can change: the reference whose size is unknown. */
function unboundedMember(part: Readonly<Record<string, unknown>>): string {
  const type = typeof part.type === 'string' ? part.type.slice(0, 64) : 'type'
  const reference = Object.keys(members(part[type]) ?? {}).find((name) =>
    /^(?:file_id|id|url|file_url|data)$/.test(name),
  )
  return reference === undefined ? type : `${type}.${reference}`
}

function visitToolCall(value: unknown, unpackId: UnpackId, visitor: InputVisitor): void {
  visitor.framing(TOOL_FRAME, false)
  const call = members(value)
  if (call === null) {
    visitor.json(value, true)
    return
  }
  for (const [name, member] of Object.entries(call)) {
    if (member === null || member === undefined || name === 'type' || name === 'index') continue
    if (name === 'id' && typeof member === 'string') {
      const { id, carried } = unpackId(member)
      visitor.text(id, false)
      if (carried !== '') visitor.text(carried, false)
    } else if (name === 'function' || name === 'custom') visitCalled(member, visitor)
    else if (typeof member === 'string') visitor.text(member, false)
    else visitor.json(member, false)
  }
}

function visitCalled(value: unknown, visitor: InputVisitor): void {
  const body = members(value)
  if (body === null) {
    visitor.json(value, true)
    return
  }
  for (const member of Object.values(body)) {
    if (typeof member === 'string') visitor.text(member, true)
    else visitor.json(member, true)
    visitor.framing(1, true)
  }
}

function members(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : null
}
