/** Turns what a choice of a chat completion says into Gemini's parts. */
import { parseExactJson } from '../../../../providers/exact-json.ts'
import { asObject } from '../../../../providers/json.ts'
import { thoughtOf } from '../../messages/translated/stop-reason.ts'

type Json = Readonly<Record<string, unknown>>

const REASONS: Readonly<Record<string, string>> = { length: 'MAX_TOKENS', content_filter: 'SAFETY' }

/** Gemini's finish reason is STOP whether or not it called a function. */
export function finishReason(finish: unknown): string {
  return typeof finish === 'string' && Object.hasOwn(REASONS, finish) ? (REASONS[finish] ?? 'STOP') : 'STOP'
}

/** The parts of a message, or of a delta of one, without calls. */
export function saidParts(message: Json): Json[] {
  const thought = thoughtOf(message)
  const texts = [message.content, message.refusal].filter((text) => typeof text === 'string' && text !== '')
  return [
    ...(thought === '' ? [] : [{ text: thought, thought: true }]),
    ...texts.map((text) => ({ text })),
    ...(Array.isArray(message.images) ? message.images.flatMap(imagePart) : []),
  ]
}

function imagePart(image: unknown): Json[] {
  const url = asObject(asObject(image)?.image_url)?.url
  const found = typeof url === 'string' ? /^data:([^;,]+);base64,/.exec(url) : null
  return found === null ? [] : [{ inlineData: { mimeType: found[1], data: String(url).slice(found[0].length) } }]
}

/** Arguments that are not a JSON object are kept as they were written: the client's tool reports what is wrong. */
export function callPart({ id, name, text }: { id: unknown; name: unknown; text: string }): Json {
  return { functionCall: { ...(typeof id === 'string' ? { id } : {}), name, args: argsOf(text) } }
}

function argsOf(text: string): unknown {
  if (text.trim() === '') return {}
  return asObject(parseExactJson(text)) ?? { arguments: text }
}
