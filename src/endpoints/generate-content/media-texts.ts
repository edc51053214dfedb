/** The places where a request in Gemini's dialect has media in base64, by either name of each member. */
import { listOf } from '../../../providers/google/passed/passed-tools.ts'
import { asObject } from '../../../providers/json.ts'
import { stated } from '../chat-completions/media-texts.ts'

type Json = Readonly<Record<string, unknown>>

const TYPES = /^(?:(?:image|audio|video)\/|application\/pdf$)/i
const NO_URL = /^(?!data:)/i

export function* generateMedia(json: Json): Iterable<unknown> {
  for (const content of [...listOf(json.contents), json.systemInstruction, json.system_instruction])
    for (const part of partsOf(content)) {
      yield mediumOf(part)
      for (const inner of partsOf(part.functionResponse ?? part.function_response)) yield mediumOf(inner)
    }
}

function partsOf(holder: unknown): Json[] {
  return listOf(asObject(holder)?.parts)
    .map(asObject)
    .filter((part) => part !== null)
}

/** Undefined where the value does not match its type. */
function mediumOf(part: Json): unknown {
  const { mimeType, mime_type: other, data } = asObject(part.inlineData ?? part.inline_data) ?? {}
  return stated(mimeType ?? other, TYPES) === undefined ? undefined : stated(data, NO_URL)
}
