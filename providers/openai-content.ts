/** What a choice of OpenAI's dialect says: the text that was delivered, in whatever member it stands, is what is counted. */
import { asObject } from './json.ts'

/** Members that say who speaks, where, and nothing else. */
const SAYS_NOTHING = new Set(['role', 'channel'])
/** Texts that are no output: names of things, and what a model signed or nobody can read. */
const NO_OUTPUT = /^(?:role|channel|name|type|object|model|status|phase|id)$|_id$|signature|encrypted/
/** Thoughts, by the names servers give them; one that says them under several is counted once. */
const THOUGHTS = ['reasoning_content', 'reasoning', 'thinking', 'thought', 'thoughts']

/** A whole response has a message where a stream has deltas; the oldest servers have a text. */
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

/** Members read apart, or that say again what stands in another one, or hold no text: sound, images, sources, what tools found. */
const APART = new Set([
  ...['content', 'function_call', 'tool_calls', 'reasoning_details', 'thinking_blocks', ...THOUGHTS],
  ...['audio', 'images', 'annotations', 'citations', 'search_results', 'executed_tools'],
  ...['provider_specific_fields', 'extra_content', 'finish_reason'],
])
/** Of a part, or of something unknown: media and numbers that hold no text. */
const NO_STRINGS = new Set(['index', 'data', 'url', 'image_url', 'input_audio', 'file', 'format'])

/** Appends the text of a message or delta. What stands in a member nobody knows counts as text: it was written, and is billed. */
export function collectText(message: unknown, pieces: string[]): void {
  const said = asObject(message)
  if (said === null) return
  for (const [name, value] of Object.entries(said)) {
    if (!NO_OUTPUT.test(name) && !APART.has(name)) collectStrings(value, pieces)
  }
  collectStrings(said.content, pieces)
  collectThoughts(said, pieces)
  collectStrings(asObject(said.audio)?.transcript, pieces)
  collectCalled(said.function_call, pieces)
  if (!Array.isArray(said.tool_calls)) return
  for (const call of said.tool_calls) collectCalled(asObject(call)?.function ?? asObject(call)?.custom, pieces)
}

/** In a member of their own, else in details that would only repeat it. */
function collectThoughts(said: Readonly<Record<string, unknown>>, pieces: string[]): void {
  const name = THOUGHTS.find((one) => typeof said[one] === 'string')
  if (name !== undefined) pieces.push(said[name] as string)
  else if (Array.isArray(said.thinking_blocks)) collectMembers(said.thinking_blocks, ['thinking'], pieces)
  else if (Array.isArray(said.reasoning_details)) collectMembers(said.reasoning_details, ['text', 'summary'], pieces)
}

function collectMembers(parts: readonly unknown[], names: readonly string[], pieces: string[]): void {
  for (const part of parts) for (const name of names) collectStrings(asObject(part)?.[name], pieces)
}

function collectCalled(called: unknown, pieces: string[]): void {
  const { name, arguments: args, input } = asObject(called) ?? {}
  for (const text of [name, args, input]) if (typeof text === 'string') pieces.push(text)
}

/** Every string in a value that may be text, in its order. With a list of its own: a deep value must not overflow the stack. */
function collectStrings(value: unknown, pieces: string[]): void {
  const open: unknown[] = [value]
  while (open.length > 0) {
    const next = open.pop()
    if (typeof next === 'string') pieces.push(next)
    else if (Array.isArray(next)) for (let i = next.length - 1; i >= 0; i -= 1) open.push(next[i])
    else if (next !== null && typeof next === 'object') {
      for (const [key, inner] of Object.entries(next).reverse()) {
        if (!NO_OUTPUT.test(key) && !NO_STRINGS.has(key)) open.push(inner)
      }
    }
  }
}
