/**
 * The messages of a conversation as Gemini's `contents` and `systemInstruction`. What opens the conversation as system or developer
 * message is the instruction; one that comes later stays in its place, in the user's voice, since moving it to the front would change
 * what it refers to (and what Google has cached). The results of a turn's calls stand together, in the order of the calls. Consecutive
 * messages of a role are one content. Names of participants are left out: Gemini knows none. A conversation that does not begin with
 * the user gets a user's turn that says nothing, which Gemini demands.
 */

import { parseExactJson } from '../exact-json.ts'
import { asObject } from '../json.ts'
import { generation, thinkingOf } from './models.ts'
import { mediaPart, type Part, readMedia, readPart, type Speaker } from './parts.ts'
import { extraSignature, googleExtra, splitToolCallId } from './tool-id.ts'

export interface Conversation {
  systemInstruction: { parts: Part[] } | null
  contents: { role: 'user' | 'model'; parts: Part[] }[]
}

/** `says` and `results` are both the user's, but results have a content of their own. */
interface Turn {
  kind: 'says' | 'model' | 'results'
  parts: Part[]
  /** Of a model's: it called something, so results are to follow. */
  hasCalls: boolean
}

interface MadeCall {
  name: string
  id: string | null
  /** Its place among all calls. */
  order: number
}

/** Google's own word for a call that it did not make and so could not sign. */
const UNSIGNED = 'skip_thought_signature_validator'
const SILENCE: Part = { text: ' ' }

/** Takes only what `refuses` let through; anything else is left out. */
export function translateMessages(messages: readonly unknown[], model: string): Conversation {
  const system: Part[] = []
  const turns: Turn[] = []
  const calls = new Map<string, MadeCall>()
  /** A system message between calls and their results: it may not part them. */
  let held: Part[] = []

  function say(kind: Turn['kind'], parts: Part[]): void {
    if (parts.length === 0) return
    const last = turns.at(-1)
    const hasCalls = kind === 'model' && parts.some((part) => 'functionCall' in part)
    if (last?.kind === kind) {
      append(last.parts, parts)
      last.hasCalls ||= hasCalls
    } else turns.push({ kind, parts, hasCalls })
  }

  function flush(): void {
    const parts = held
    held = []
    say('says', parts)
  }

  for (const value of messages) {
    const message = asObject(value) ?? {}
    if (message.role === 'tool') {
      say('results', [resultPart(message, calls)])
      continue
    }
    const isSystem = message.role === 'system' || message.role === 'developer'
    if (isSystem && turns.length === 0) append(system, partsOf(message.content, 'system'))
    else if (isSystem && awaitsResults(turns.at(-1))) append(held, partsOf(message.content, 'system'))
    else {
      flush()
      if (message.role === 'assistant') say('model', modelParts(message, model, calls))
      else say('says', partsOf(message.content, isSystem ? 'system' : 'user'))
    }
  }
  flush()
  if (turns[0]?.kind !== 'says') turns.unshift({ kind: 'says', parts: [SILENCE], hasCalls: false })
  return { systemInstruction: system.length === 0 ? null : { parts: system }, contents: turns.map(asContent) }
}

function awaitsResults(turn: Turn | undefined): boolean {
  return turn?.kind === 'results' || turn?.hasCalls === true
}

/** Not push(...parts): a spread of a few hundred thousand overflows the stack. */
function append(to: Part[], parts: readonly Part[]): void {
  for (const part of parts) to.push(part)
}

const ORDER = Symbol('the place of the call a result answers')

function asContent({ kind, parts }: Turn): Conversation['contents'][number] {
  if (kind !== 'results') return { role: kind === 'model' ? 'model' : 'user', parts }
  const place = (part: Part) => (part as { [ORDER]?: number })[ORDER] ?? 0
  return { role: 'user', parts: parts.toSorted((a, b) => place(a) - place(b)) }
}

function partsOf(content: unknown, speaker: Speaker): Part[] {
  const values: unknown[] = Array.isArray(content) ? content : typeof content === 'string' ? [content] : []
  return values.flatMap((value) => {
    const read = readPart(value, speaker)
    return 'part' in read && read.part !== null ? [read.part] : []
  })
}

/** Thoughts, what Google's own tools did, text, images, calls: the order in which Gemini makes them. */
function modelParts(message: Part, model: string, calls: Map<string, MadeCall>): Part[] {
  const thinks = thinkingOf(model) !== 'none'
  const parts: Part[] = []
  const thought = message.reasoning_content ?? message.reasoning
  if (thinks && typeof thought === 'string' && thought !== '') parts.push({ text: thought, thought: true })
  append(parts, serverParts(message))
  const texts = partsOf(message.content, 'assistant')
  if (texts.length === 0 && typeof message.refusal === 'string' && message.refusal !== '')
    texts.push({ text: message.refusal })
  const made = (Array.isArray(message.tool_calls) ? message.tool_calls : []).map((call) =>
    callPart(call, calls, thinks),
  )
  const images = (Array.isArray(message.images) ? message.images : []).flatMap(imagePart)
  if (thinks) sign(extraSignature(message), texts, made, model)
  return parts.concat(texts, images, made)
}

/** The signature of a message belongs to its first call, where none has one, else to its text. */
function sign(own: string | null, texts: Part[], made: Part[], model: string): void {
  const isSigned = made.some((part) => part.thoughtSignature !== undefined)
  const first = made[0]
  if (first !== undefined && !isSigned) {
    if (own !== null) first.thoughtSignature = own
    else if (generation(model) >= 3) first.thoughtSignature = UNSIGNED
  } else if (own !== null) {
    const last = texts.at(-1)
    if (last === undefined) texts.push({ text: '', thoughtSignature: own })
    else last.thoughtSignature = own
  }
}

/** Parts without a word in OpenAI's dialect, as a response gave them and the client sent them back. */
function serverParts(message: Part): Part[] {
  const { parts } = googleExtra(message)
  if (!Array.isArray(parts)) return []
  return parts.flatMap((entry) => {
    const part = asObject(asObject(entry)?.part)
    return part === null || !SERVER_PARTS.some((kind) => kind in part) ? [] : [part]
  })
}

const SERVER_PARTS = ['executableCode', 'codeExecutionResult', 'toolCall', 'toolResponse']

function imagePart(value: unknown): Part[] {
  const image = asObject(value)
  const media = image === null ? null : readMedia({ ...image, type: 'image_url' })
  if (media === null) return []
  const signature = extraSignature(image)
  return [{ ...mediaPart(media), ...(signature === null ? {} : { thoughtSignature: signature }) }]
}

function callPart(value: unknown, calls: Map<string, MadeCall>, thinks: boolean): Part {
  const call = asObject(value) ?? {}
  const body = asObject(call.function) ?? {}
  const name = typeof body.name === 'string' ? body.name : ''
  const raw = typeof call.id === 'string' ? call.id : ''
  const { id, signature } = splitToolCallId(raw)
  const sent = sendableId(id)
  calls.set(raw, { name, id: sent, order: calls.size })
  const signed = thinks ? (extraSignature(call) ?? signature) : null
  return {
    functionCall: { name, args: readArguments(body.arguments) ?? {}, ...(sent === null ? {} : { id: sent }) },
    ...(signed === null ? {} : { thoughtSignature: signed }),
  }
}

/** An id of another provider that is none Google takes is left out; names and order then tell which result is whose. */
function sendableId(id: string): string | null {
  return /^[\w.:-]{1,128}$/.test(id) ? id : null
}

/** No arguments are `{}`; null for what is no object. */
export function readArguments(text: unknown): Record<string, unknown> | null {
  if (text === undefined || text === null) return {}
  if (typeof text !== 'string') return null
  return text.trim() === '' ? {} : asObject(parseExactJson(text))
}

/**
 * The response is an object by force, and Google reads `$ref` in it: so what the tool said goes in as text, each of several texts apart.
 */
function resultPart(message: Part, calls: ReadonlyMap<string, MadeCall>): Part {
  const call = calls.get(typeof message.tool_call_id === 'string' ? message.tool_call_id : '')
  const parts = partsOf(message.content, 'tool')
  const texts = parts.flatMap((part) => (typeof part.text === 'string' ? [part.text] : []))
  const media = parts.filter((part) => !('text' in part))
  const part: Part & { [ORDER]?: number } = {
    functionResponse: {
      name: call?.name ?? '',
      response: { result: texts.length > 1 ? texts : (texts[0] ?? '') },
      ...(media.length === 0 ? {} : { parts: media }),
      ...(call?.id == null ? {} : { id: call.id }),
    },
  }
  part[ORDER] = call?.order ?? 0
  return part
}
