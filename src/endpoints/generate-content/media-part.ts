/** Turns a medium of Gemini's dialect into a part of a chat completion, whose sizes are known. */
import { asObject } from '../../../providers/json.ts'

type Json = Readonly<Record<string, unknown>>

const TYPE = /^[\w.+-]{1,64}\/[\w.+-]{1,64}/

/** Null for a medium that is only named by an address: its size is unknown. */
export function mediaPart({ inlineData }: Json): Json | null {
  const { data, mimeType } = asObject(inlineData) ?? {}
  if (typeof data !== 'string') return null
  const type = (
    TYPE.exec(typeof mimeType === 'string' ? mimeType : '')?.[0] ?? 'application/octet-stream'
  ).toLowerCase()
  const url = `data:${type};base64,${data}`
  if (type.startsWith('audio/')) return { type: 'input_audio', input_audio: { data: url, format: type.slice(6) } }
  if (type.startsWith('image/')) return { type: 'image_url', image_url: { url } }
  if (type.startsWith('video/')) return { type: 'video_url', video_url: { url } }
  return { type: 'file', file: { filename: `file.${ENDINGS[type] ?? 'txt'}`, file_data: url } }
}

const ENDINGS: Readonly<Record<string, string>> = { 'application/pdf': 'pdf' }
