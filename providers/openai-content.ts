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

/** Appends the text of a message or delta. */
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
  for (const text of [content, refusal, thought ?? reasoning]) if (typeof text === 'string') pieces.push(text)
  for (const call of [
    called,
    ...(Array.isArray(calls) ? calls.map((entry) => asObject(entry)?.function ?? asObject(entry)?.custom) : []),
  ]) {
    const { name, arguments: args, input } = (call ?? {}) as Record<string, unknown>
    for (const text of [name, args, input]) if (typeof text === 'string') pieces.push(text)
  }
}
