/** Turns the conversation into OpenAI's roles and parts. Thoughts are left out: no other provider takes Gemini's. */
import { listOf } from '../../../../providers/google/passed/passed-tools.ts'
import { asObject } from '../../../../providers/json.ts'
import type { TollgateError } from '../../../http/errors.ts'
import { bad } from '../../read-members.ts'
import { mediaPart } from '../media-part.ts'
import { onlyGemini } from './only-gemini.ts'

type Json = Readonly<Record<string, unknown>>

/** @throws {TollgateError} 400. */
export function chatMessages(json: Json): Json[] {
  const messages: Json[] = []
  const calls = createCalls()
  const system = partsOf(json.systemInstruction, 'systemInstruction').map(([part, place]) => textOf(part, place))
  if (system.length > 0) messages.push({ role: 'system', content: system.join('\n') })
  for (const [index, content] of listOf(json.contents).entries()) {
    const path = `contents[${index}]`
    const { role = 'user' } = asObject(content) ?? {}
    const parts = partsOf(content, path)
    if (role === 'model') messages.push(modelMessage(parts, calls))
    else if (role === 'user' || role === 'function' || role === null) messages.push(...userMessages(parts, calls))
    else throw bad(`${path}.role`, `"${path}.role" must be user or model.`)
  }
  return messages
}

type Placed = readonly [part: Json, place: string]

function partsOf(content: unknown, path: string): Placed[] {
  return listOf(asObject(content)?.parts).map((value, index) => {
    const place = `${path}.parts[${index}]`
    const part = asObject(value)
    if (part === null) throw bad(place, `"${place}" must be an object.`)
    return [part, place] as const
  })
}

interface Calls {
  /** The id of a call: its own, or one made here. */
  made(name: unknown, id: unknown): string
  /** The id of the call that a result answers; null where there is none. */
  answered(name: unknown, id: unknown): string | null
}

/** Calls need no id in Gemini's dialect: a result belongs to the oldest call of its function that has no result yet. */
function createCalls(): Calls {
  const open: { name: unknown; id: string }[] = []
  let count = 0
  return {
    made(name, id) {
      count += 1
      const own = typeof id === 'string' && id !== '' ? id : `call_${count}`
      open.push({ name, id: own })
      return own
    },
    answered(name, id) {
      const at = open.findIndex((call) => (typeof id === 'string' && id !== '' ? call.id === id : call.name === name))
      return at < 0 ? null : (open.splice(at, 1)[0]?.id ?? null)
    },
  }
}

function modelMessage(parts: readonly Placed[], calls: Calls): Json {
  const texts: string[] = []
  const made: Json[] = []
  for (const [part, place] of parts) {
    const call = asObject(part.functionCall)
    if (part.thought === true) continue
    if (call !== null) {
      const args = JSON.stringify(call.args ?? {})
      made.push({
        id: calls.made(call.name, call.id),
        type: 'function',
        function: { name: call.name, arguments: args },
      })
    } else if (typeof part.text === 'string') texts.push(part.text)
    else if (!saysNothing(part)) throw unreadable(part, place)
  }
  const text = texts.join('')
  if (made.length === 0) return { role: 'assistant', content: text }
  return { role: 'assistant', content: text === '' ? null : text, tool_calls: made }
}

/** The result of each function is one message, before what the user says. Media in results follow as the user's. */
function userMessages(parts: readonly Placed[], calls: Calls): Json[] {
  const results: Json[] = []
  const said: Json[] = []
  for (const [part, place] of parts) {
    const result = asObject(part.functionResponse)
    if (result === null) {
      if (!saysNothing(part)) said.push(userPart(part, place))
      continue
    }
    const id = calls.answered(result.name, result.id)
    if (id === null) throw bad(place, `"${place}.functionResponse" answers no function call before it.`)
    results.push({ role: 'tool', tool_call_id: id, content: JSON.stringify(result.response ?? {}) })
    for (const [index, inner] of listOf(result.parts).entries())
      said.push(userPart(asObject(inner) ?? {}, `${place}.functionResponse.parts[${index}]`))
  }
  return said.length === 0 ? results : [...results, { role: 'user', content: contentOf(said) }]
}

/** A single text is sent as a string: some servers do not take parts. */
function contentOf(parts: readonly Json[]): unknown {
  const [first] = parts
  return parts.length === 1 && first?.type === 'text' ? first.text : parts
}

function userPart(part: Json, place: string): Json {
  if (typeof part.text === 'string') return { type: 'text', text: part.text }
  const medium = mediaPart(part)
  if (medium !== null) return medium
  const { fileUri, mimeType } = asObject(part.fileData) ?? {}
  if (typeof fileUri === 'string' && typeof mimeType === 'string' && mimeType.startsWith('image/'))
    return { type: 'image_url', image_url: { url: fileUri } }
  throw unreadable(part, place)
}

/** True for a part that holds only a signature. */
function saysNothing(part: Json): boolean {
  return Object.keys(part).every((name) => name === 'thoughtSignature' || name === 'thought')
}

function textOf(part: Json, place: string): string {
  if (typeof part.text === 'string') return part.text
  throw unreadable(part, place)
}

function unreadable(part: Json, place: string): TollgateError {
  const name = Object.keys(part).find((one) => one !== 'thoughtSignature' && one !== 'thought') ?? 'text'
  return onlyGemini(`${place}.${name.slice(0, 32)}`)
}
