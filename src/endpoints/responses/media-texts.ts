/** The places where a request for a response has media in base64: in messages and in tool results. */
import { asObject, listOf } from '../../../providers/json.ts'
import { FILE_URL, IMAGE_URL, SOUND, stated } from '../chat-completions/media-texts.ts'

type Json = Readonly<Record<string, unknown>>

export function* responseMedia(json: Json): Iterable<unknown> {
  for (const item of listOf(json.input)) {
    const { content, output } = asObject(item) ?? {}
    for (const part of [...listOf(content), ...listOf(output)]) yield mediumOf(asObject(part))
  }
}

/** Undefined where the part does not match its type. */
function mediumOf(part: Json | null): unknown {
  if (part?.type === 'input_image') return stated(part.image_url, IMAGE_URL)
  if (part?.type === 'input_file') return stated(part.file_data, FILE_URL)
  return part?.type === 'input_audio' ? stated(asObject(part.input_audio)?.data, SOUND) : undefined
}
