/** Turns a medium of a request for a response into the part of a chat completion that means the same. */
import { asObject } from '../../../providers/json.ts'

type Json = Readonly<Record<string, unknown>>

const TEXTS: ReadonlySet<unknown> = new Set([
  'input_text',
  'output_text',
  'text',
  'refusal',
  'summary_text',
  'reasoning_text',
])

export function isTextPart({ type }: Json): boolean {
  return TEXTS.has(type)
}

/** The size is unknown for media named by an id, for files named by an address, and for parts of an unknown type. */
export function chatPartOf(part: Json): Json {
  const { type, image_url: url, file_id: id, detail } = part
  if (type === 'input_image' || type === 'computer_screenshot') {
    if (typeof url !== 'string') return { type: 'file', file: { file_id: id } }
    return { type: 'image_url', image_url: { url, ...(typeof detail === 'string' ? { detail } : {}) } }
  }
  if (type === 'input_file') {
    const { file_data: data, filename } = part
    const name = typeof filename === 'string' ? { filename } : {}
    return { type: 'file', file: typeof data === 'string' ? { file_data: data, ...name } : { file_id: id } }
  }
  if (type === 'input_audio') return { type, input_audio: asObject(part.input_audio) ?? {} }
  return { type }
}

/** The member that the caller can change: the reference that hides the size. */
export function referenceIn(part: Json): string {
  return (
    ['file_id', 'file_url', 'image_url', 'file_data', 'input_audio'].find((name) => typeof part[name] === 'string') ??
    'type'
  )
}
