/** What a choice of OpenAI's dialect says: the text that was delivered, in whatever member it stands, is what is counted. */
import { asObject } from './json.ts'

/** Members that say who speaks, where, and nothing else. */
const SAYS_NOTHING = new Set(['role', 'channel'])
/** Texts that are no output: names of things, and what a model signed or nobody can read. */
const NO_OUTPUT = /^(?:role|channel|name|type|object|model|status|phase|id)$|_id$|signature|encrypted/
/** Thoughts, by the names servers give them; one that says them under several is counted once. */
const THOUGHTS = ['reasoning_content', 'reasoning', 'thinking', 'thought', 'thoughts']

/** A whole answer has a message where a stream has deltas; the oldest servers have a text. */
interface Choice {
  message?: unknown
  delta?: unknown
  text?: unknown
}

/** Whether it says anything: text, a call, sound, an image. A role alone, or an empty text, is nothing delivered. */
export function hasContent(message: unknown): boolean {
  return Object.entries(asObject(message) ?? {}).some(([key, value]) => !SAYS_NOTHING.has(key) && !isEmpty(value))
}

/** The same of a choice. */
export function saysAnything(choice: Choice): boolean {
  return hasContent(spokenIn(choice)) || (typeof choice.text === 'string' && choice.text !== '')
}

/** Appends the text of a choice. */
export function collectSaid(choice: Choice, pieces: string[]): void {
  const spoken = spokenIn(choice)
  if (hasContent(spoken) || typeof choice.text !== 'string') collectText(spoken, pieces)
  else pieces.push(choice.text)
}

/** A message beside deltas repeats them. */
function spokenIn({ delta, message }: Choice): unknown {
  return delta ?? message
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0)
}

/** Appends the text of a message or delta. */
export function collectText(message: unknown, pieces: string[]): void {
  const said = asObject(message)
  if (said === null) return
  for (const [name, value] of Object.entries(said)) {
    if (typeof value === 'string' && !NO_OUTPUT.test(name) && !THOUGHTS.includes(name)) pieces.push(value)
  }
  collectThoughts(said, pieces)
  for (const [name, value] of Object.entries(said)) {
    if (name === 'content') collectParts(value, 'text', pieces)
    else if (name === 'audio') collectStrings([asObject(value)?.transcript], pieces)
    else if (name === 'function_call') collectCalled(value, pieces)
    else if (name === 'tool_calls' && Array.isArray(value)) {
      for (const call of value) collectCalled(asObject(call)?.function ?? asObject(call)?.custom, pieces)
    }
  }
}

/** In a member of their own, else in details that would only repeat it. */
function collectThoughts(said: Readonly<Record<string, unknown>>, pieces: string[]): void {
  const name = THOUGHTS.find((one) => typeof said[one] === 'string')
  if (name !== undefined) collectStrings([said[name]], pieces)
  else if (Array.isArray(said.thinking_blocks)) collectParts(said.thinking_blocks, 'thinking', pieces)
  else for (const member of ['text', 'summary']) collectParts(said.reasoning_details, member, pieces)
}

function collectParts(parts: unknown, member: string, pieces: string[]): void {
  if (Array.isArray(parts))
    collectStrings(
      parts.map((part) => asObject(part)?.[member]),
      pieces,
    )
}

function collectCalled(called: unknown, pieces: string[]): void {
  const { name, arguments: args, input } = asObject(called) ?? {}
  collectStrings([name, args, input], pieces)
}

function collectStrings(values: readonly unknown[], pieces: string[]): void {
  for (const value of values) if (typeof value === 'string') pieces.push(value)
}
