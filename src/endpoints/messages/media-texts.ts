/** The places where a message request has media in base64: in messages and in tool results. */
import { asObject, listOf } from '../../../providers/json.ts'
import { stated } from '../chat-completions/media-texts.ts'

type Json = Readonly<Record<string, unknown>>

export function* messageMedia(json: Json): Iterable<unknown> {
  for (const message of listOf(json.messages))
    for (const block of blocksOf(message)) {
      yield mediumOf(block)
      if (block.type === 'tool_result') for (const inner of blocksOf(block)) yield mediumOf(inner)
    }
}

function blocksOf(holder: unknown): Json[] {
  return listOf(asObject(holder)?.content)
    .map(asObject)
    .filter((block) => block !== null)
}

const TYPES: Readonly<Record<string, RegExp>> = { image: /^image\//i, document: /^application\/pdf$/i }
const NO_URL = /^(?!data:)/i

/** Undefined where the block does not match its type. */
function mediumOf({ type, source }: Json): unknown {
  const { type: form, media_type: mediaType, data } = asObject(source) ?? {}
  const types = Object.hasOwn(TYPES, String(type)) ? TYPES[String(type)] : undefined
  if (types === undefined || form !== 'base64' || stated(mediaType, types) === undefined) return undefined
  return stated(data, NO_URL)
}
