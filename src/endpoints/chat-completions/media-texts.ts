/** The places where a chat completion's request has media in base64. */
import { asObject, listOf } from '../../../providers/json.ts'

type Json = Readonly<Record<string, unknown>>

export function* chatMedia(json: Json): Iterable<unknown> {
  for (const message of listOf(json.messages))
    for (const part of listOf(asObject(message)?.content)) yield mediumOf(asObject(part))
}

/** Undefined where the part does not match its type. */
function mediumOf(part: Json | null): unknown {
  if (part?.type === 'image_url') {
    const url = typeof part.image_url === 'string' ? part.image_url : asObject(part.image_url)?.url
    return stated(url, IMAGE_URL)
  }
  if (part?.type === 'file') return stated(asObject(part.file)?.file_data, FILE_URL)
  return part?.type === 'input_audio' ? stated(asObject(part.input_audio)?.data, SOUND) : undefined
}

export const IMAGE_URL = /^data:image\//i
export const FILE_URL = /^data:(?:image\/|application\/pdf;)/i
export const SOUND = /^(?!data:)|^data:audio\//i

export function stated(medium: unknown, type: RegExp): unknown {
  return typeof medium === 'string' && type.test(medium) ? medium : undefined
}
