/** A medium of a response's request as the part of a chat completion that means the same. */
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

/** What is named by an id, or a file by its address, tells no size; a part of an unknown type neither. */
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

/** Names what the caller can change: the reference that hides the size. */
export function referenceIn(part: Json): string {
  return (
    ['file_id', 'file_url', 'image_url', 'file_data', 'input_audio'].find((name) => typeof part[name] === 'string') ??
    'type'
  )
}
