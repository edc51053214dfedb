/** What a message or delta of OpenAI's dialect says. */
import { asObject } from './json.ts'

/** Members that say who speaks, where, and nothing else. */
const SAYS_NOTHING = new Set(['role', 'channel'])

/** Whether it says anything: text, a call, sound, an image. A role alone, or an empty text, is nothing delivered. */
export function hasContent(message: unknown): boolean {
  return Object.entries(asObject(message) ?? {}).some(([key, value]) => !SAYS_NOTHING.has(key) && !isEmpty(value))
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0)
}

/**
 * Members with strings in them that the model did not write as text, or that say again what stands in another one: who speaks, sound
 * and images, sources, signed thoughts, what a provider's own tools were asked and found.
 */
const NO_TEXT = new Set([
  ...SAYS_NOTHING,
  ...[
    'id',
    'object',
    'type',
    'name',
    'audio',
    'images',
    'annotations',
    'citations',
    'search_results',
    'executed_tools',
  ],
  ...['reasoning_details', 'thinking_blocks', 'provider_specific_fields', 'extra_content', 'finish_reason'],
])
const TEXT = new Set(['content', 'refusal', 'reasoning', 'reasoning_content', 'function_call', 'tool_calls'])

/** Appends the text of a message or delta. What stands in a member nobody knows counts as text: it was written, and is billed. */
export function collectText(message: unknown, pieces: string[]): void {
  if (message === null || typeof message !== 'object') return
  const {
    content,
    refusal,
    reasoning,
    reasoning_content: thought,
    function_call: called,
    tool_calls: calls,
  } = message as Record<string, unknown>
  for (const key of Object.keys(message))
    if (!TEXT.has(key) && !NO_TEXT.has(key)) collectStrings((message as Record<string, unknown>)[key], pieces)
  if (content !== null && typeof content === 'object') collectStrings(content, pieces)
  for (const text of [content, refusal, thought ?? reasoning]) if (typeof text === 'string') pieces.push(text)
  for (const call of [
    called,
    ...(Array.isArray(calls) ? calls.map((entry) => asObject(entry)?.function ?? asObject(entry)?.custom) : []),
  ]) {
    const { name, arguments: args, input } = (call ?? {}) as Record<string, unknown>
    for (const text of [name, args, input]) if (typeof text === 'string') pieces.push(text)
  }
}

/** Of a part or of something unknown: names, ids, signatures, data. */
const NO_STRINGS = new Set([
  ...NO_TEXT,
  'index',
  'data',
  'url',
  'image_url',
  'input_audio',
  'file',
  'signature',
  'format',
])

/** Every string in a value that may be text, in its order. */
function collectStrings(value: unknown, pieces: string[]): void {
  const open: unknown[] = [value]
  while (open.length > 0) {
    const next = open.pop()
    if (typeof next === 'string') pieces.push(next)
    else if (Array.isArray(next)) open.push(...next.toReversed())
    else if (next !== null && typeof next === 'object')
      for (const [key, inner] of Object.entries(next).reverse()) if (!NO_STRINGS.has(key)) open.push(inner)
  }
}
