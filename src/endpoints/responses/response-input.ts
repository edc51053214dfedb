/**
 * The input of a request for a response: one walk over it, for the estimate of the hold and for the count where no usage was stated.
 * Everything counts except what is known not to become input.
 */
import { bareId } from '../../../providers/carried-id.ts'
import { asObject } from '../../../providers/json.ts'
import { isReference } from '../../../providers/openai-responses/refusals.ts'
import type { InputVisitor } from '../../metering/request-input.ts'
import { chatPartOf, isTextPart, referenceIn } from './chat-part.ts'

type Json = Readonly<Record<string, unknown>>

/** Each item is framed, and the response is opened. */
const ITEM_FRAME = 3
const PRIMING = 3
/** Markers around each call and each definition. */
const TOOL_FRAME = 8

/** Members that no model reads: they tell the provider how to answer, whom to bill or what to remember. */
const NEVER_INPUT: ReadonlySet<string> = new Set([
  ...[
    'model',
    'models',
    'stream',
    'stream_options',
    'store',
    'background',
    'metadata',
    'client_metadata',
    'user',
    'include',
  ],
  ...[
    'max_output_tokens',
    'max_tool_calls',
    'temperature',
    'top_p',
    'top_k',
    'top_logprobs',
    'parallel_tool_calls',
    'trace',
  ],
  ...[
    'reasoning',
    'service_tier',
    'truncation',
    'safety_identifier',
    'prompt_cache_key',
    'prompt_cache_retention',
    'route',
  ],
  ...['prompt_cache_options', 'access_programs', 'moderation', 'image', 'context_management', 'provider', 'session_id'],
  ...['power_level', 'task_type', 'privacy_required'],
])
/** Roles that count one token each. */
const ROLES: ReadonlySet<unknown> = new Set(['system', 'developer', 'user', 'assistant'])
/** Members of items that no model reads: names, states and the like. */
const NO_INPUT: ReadonlySet<string> = new Set([
  'type',
  'id',
  'status',
  'phase',
  'annotations',
  'logprobs',
  'prompt_cache_breakpoint',
])
/** The members that hold media. */
const HOLDERS: ReadonlySet<string> = new Set([
  'image_url',
  'file_data',
  'file_url',
  'file_id',
  'input_audio',
  'detail',
  'type',
])

export function visitResponseInput(request: Json, visitor: InputVisitor): void {
  visitor.framing(PRIMING, true)
  for (const [name, value] of Object.entries(request)) {
    if (value === null || value === undefined || NEVER_INPUT.has(name)) continue
    if (name === 'input') visitInput(value, visitor)
    // Input that is kept elsewhere may fill the whole context window.
    else if (name === 'previous_response_id') visitor.media({ type: 'item_reference' }, name)
    else if (name === 'instructions') {
      visitor.framing(ITEM_FRAME, true)
      if (typeof value === 'string') visitor.text(value, true)
      else visitor.json(value, true)
    } else if (name === 'tools') visitTools(value, visitor)
    else if (typeof value === 'string') visitor.text(value, false)
    else if (typeof value === 'object') visitor.json(value, name === 'text')
  }
}

function visitInput(input: unknown, visitor: InputVisitor): void {
  if (!Array.isArray(input)) {
    visitor.framing(ITEM_FRAME, true)
    if (typeof input === 'string') visitor.text(input, true)
    else visitor.json(input, true)
    return
  }
  for (const [index, item] of input.entries()) visitItem(item, `input[${index}]`, visitor)
}

function visitTools(tools: unknown, visitor: InputVisitor): void {
  visitor.framing(TOOL_FRAME * (Array.isArray(tools) ? tools.length + 1 : 1), false)
  visitor.json(tools, true)
}

/** An item with a role is a message; any other is a call, its result, a thought, or a newer kind. */
function visitItem(value: unknown, path: string, visitor: InputVisitor): void {
  visitor.framing(ITEM_FRAME, true)
  const item = asObject(value)
  if (item === null) {
    visitor.json(value, true)
    return
  }
  if (item.role === undefined) visitor.framing(TOOL_FRAME, false)
  // The size of input that was compacted, or is kept elsewhere, is unknown.
  if (item.type === 'compaction') visitor.media({ type: 'compaction' }, `${path}.encrypted_content`)
  if (isReference(item)) visitor.media({ type: 'item_reference' }, `${path}.id`)
  for (const [name, member] of Object.entries(item)) {
    if (member === null || member === undefined || NO_INPUT.has(name)) continue
    if (name === 'role' && ROLES.has(member)) visitor.role(String(member))
    else if (name === 'content' || name === 'output') visitContent(member, `${path}.${name}`, visitor)
    else if (name === 'result' && item.type === 'image_generation_call')
      visitor.media(
        { type: 'image_url', image_url: { url: `data:image/png;base64,${String(member)}` } },
        `${path}.result`,
      )
    else if (name === 'tools') visitTools(member, visitor)
    else if (name === 'call_id' && typeof member === 'string') visitor.text(bareId(member), false)
    else if (typeof member === 'string') visitor.text(member, SURE.has(name))
    else if (typeof member === 'object') visitor.json(member, false)
  }
}

/** The members of calls that a model reads. */
const SURE: ReadonlySet<string> = new Set(['name', 'arguments', 'input'])

function visitContent(content: unknown, path: string, visitor: InputVisitor): void {
  if (typeof content === 'string') visitor.text(content, true)
  else if (!Array.isArray(content)) visitPart(content, path, visitor)
  else for (const [index, part] of content.entries()) visitPart(part, `${path}[${index}]`, visitor)
}

function visitPart(value: unknown, path: string, visitor: InputVisitor): void {
  const part = asObject(value)
  if (part === null) {
    visitor.json(value, true)
    return
  }
  const isText = isTextPart(part)
  // A stray text does not make an image a text, nor a stray image a text: both count, whichever of them the provider reads.
  if (!isText) visitor.media(chatPartOf(part), `${path}.${referenceIn(part)}`)
  else for (const stray of strayMedia(part)) visitor.media(chatPartOf(stray), `${path}.${referenceIn(stray)}`)
  for (const [name, member] of Object.entries(part)) {
    if (member === null || member === undefined || NO_INPUT.has(name) || HOLDERS.has(name)) continue
    if (typeof member === 'string') visitor.text(member, name === 'text' || name === 'refusal')
    else if (typeof member === 'object') visitor.json(member, false)
    visitor.framing(1, false)
  }
}

function strayMedia(part: Json): Json[] {
  const { image_url, file_data, file_id, file_url, input_audio } = part
  const found: Json[] = []
  if ((image_url ?? null) !== null) found.push({ type: 'input_image', image_url })
  if ((file_data ?? file_id ?? file_url ?? null) !== null)
    found.push({ type: 'input_file', file_data, file_id, file_url })
  if ((input_audio ?? null) !== null) found.push({ type: 'input_audio', input_audio })
  return found
}
