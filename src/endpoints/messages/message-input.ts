/**
 * The input of a message request: one walk over it, for the estimate of the hold and for the count where no usage was stated. Everything
 * counts except what is known not to become input.
 */
import type { InputVisitor } from '../../metering/request-input.ts'

type Json = Readonly<Record<string, unknown>>

/** Each message is framed, and the answer is opened. */
const MESSAGE_FRAME = 3
const PRIMING = 3
/** Markers around each call and each definition. */
const TOOL_FRAME = 8
/** Tools that Anthropic defines (a computer, an editor, a shell) bring a prompt of their own: 245 to 735 tokens, published. */
const DEFINED_TOOL = 1_000

/** Members that no model reads: they tell the provider how to answer, whom to bill or what to remember. */
const NEVER_INPUT: ReadonlySet<string> = new Set([
  ...['model', 'max_tokens', 'stream', 'metadata', 'stop_sequences', 'temperature', 'top_p', 'top_k', 'thinking'],
  ...['service_tier', 'inference_geo', 'speed', 'cache_control', 'betas', 'diagnostics'],
  ...['power_level', 'task_type', 'privacy_required'],
])
/** Members that a model reads completely. */
const SURE: ReadonlySet<string> = new Set(['output_config', 'output_format'])

export function visitMessageInput(request: Json, visitor: InputVisitor): void {
  visitor.framing(PRIMING, true)
  for (const [name, value] of Object.entries(request)) {
    if (value === null || value === undefined || NEVER_INPUT.has(name)) continue
    if (name === 'messages' && Array.isArray(value)) visitMessages(value, visitor)
    else if (name === 'system') visitContent(value, 'system', visitor)
    else if (name === 'tools' && Array.isArray(value)) visitTools(value, visitor)
    else if (typeof value === 'string') visitor.text(value, false)
    else if (typeof value === 'object') visitor.json(value, SURE.has(name))
  }
}

function visitMessages(messages: readonly unknown[], visitor: InputVisitor): void {
  for (const [index, message] of messages.entries()) {
    visitor.framing(MESSAGE_FRAME, true)
    for (const [name, value] of Object.entries(membersOf(message) ?? {})) {
      if (name === 'content') visitContent(value, `messages[${index}].content`, visitor)
      else if (name === 'role' && typeof value === 'string' && value.length < 16) visitor.role(value)
      else visitor.json(value, false)
    }
  }
}

function visitTools(tools: readonly unknown[], visitor: InputVisitor): void {
  visitor.framing(TOOL_FRAME * (tools.length + 1), false)
  for (const tool of tools) {
    const type = membersOf(tool)?.type ?? null
    if (type !== null && type !== 'custom') visitor.framing(DEFINED_TOOL, false)
    visitor.json(tool, true)
  }
}

function visitContent(content: unknown, path: string, visitor: InputVisitor): void {
  if (typeof content === 'string') visitor.text(content, true)
  else if (!Array.isArray(content)) visitor.json(content ?? '', true)
  else for (const [index, block] of content.entries()) visitBlock(block, `${path}[${index}]`, visitor)
}

function visitBlock(value: unknown, path: string, visitor: InputVisitor): void {
  const block = membersOf(value)
  if (block === null) {
    visitor.json(value, true)
    return
  }
  const { type } = block
  if (type !== 'text') visitor.framing(TOOL_FRAME, false)
  for (const [name, member] of Object.entries(block)) {
    if (member === null || member === undefined || name === 'type' || name === 'cache_control') continue
    if (name === 'source') visitSource(block, membersOf(member), path, visitor)
    else if (name === 'content') visitContent(member, `${path}.content`, visitor)
    else if (name === 'file_id') visitor.media(block, `${path}.file_id`)
    else if (typeof member === 'string') visitor.text(member, name === 'text' || name === 'name')
    else if (typeof member === 'object') visitor.json(member, name === 'input')
  }
}

/** Visits a medium, or the text or the blocks in its place. */
function visitSource(block: Json, source: Json | null, path: string, visitor: InputVisitor): void {
  if (source === null) visitor.json(block.source, true)
  else if (source.type === 'text' && typeof source.data === 'string') visitor.text(source.data, true)
  else if (source.type === 'content') visitContent(source.content, `${path}.source.content`, visitor)
  else visitor.media(block, `${path}.source`)
}

function membersOf(value: unknown): Json | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : null
}
