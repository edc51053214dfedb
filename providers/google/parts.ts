/** A content part of OpenAI's as a part of Gemini's, or why there is none. */
import { asObject } from '../json.ts'

export type Part = Record<string, unknown>

/** Nothing for what is no string. Not String(): an object from JSON may have a `toString` that is none. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** Content in the request itself, or by its address. */
export type Media = { mimeType: string; data: string } | { mimeType: string | null; uri: string }

/** Which content parts a message of a role may have. */
export type Speaker = 'user' | 'assistant' | 'system' | 'tool'

/** A part, nothing (an empty text says nothing, and is refused by Gemini), or a sentence on why it can't be sent. */
export type PartReading = { part: Part | null } | { refusal: string }

export function readPart(value: unknown, speaker: Speaker): PartReading {
  const content = asObject(value)
  if (typeof value === 'string') return { part: value === '' ? null : { text: value } }
  if (content === null) return { refusal: 'A content part must be an object with a "type".' }
  const said = content.type === 'refusal' ? content.refusal : content.text
  if (content.type === 'text' || content.type === 'refusal' || content.type === 'input_text') {
    if (typeof said !== 'string') return { refusal: 'A text part must have its text.' }
    return { part: said === '' ? null : { text: said } }
  }
  if (speaker === 'system') return { refusal: 'Google takes system messages of text only.' }
  const media = readMedia(content)
  if (media !== null) return { part: mediaPart(media) }
  return {
    refusal: `Google can't be sent this content part${nameOf(content)}. Send its content inline as a data: URL.`,
  }
}

function nameOf({ type }: Part): string {
  return typeof type === 'string' ? ` of type '${type.slice(0, 64)}'` : ''
}

export function mediaPart(media: Media): Part {
  if ('data' in media) return { inlineData: media }
  return { fileData: { ...(media.mimeType === null ? {} : { mimeType: media.mimeType }), fileUri: media.uri } }
}

/** Null for what is no media, or can't be read as such. */
export function readMedia(part: Part): Media | null {
  if (part.type === 'image_url') return byUrl(urlOf(part.image_url), null)
  if (part.type === 'video_url') return byUrl(urlOf(part.video_url), null)
  if (part.type === 'input_audio') return sound(asObject(part.input_audio))
  if (part.type === 'file') return file(asObject(part.file))
  return null
}

function urlOf(value: unknown): unknown {
  return typeof value === 'string' ? value : asObject(value)?.url
}

function byUrl(url: unknown, fallback: string | null): Media | null {
  if (typeof url !== 'string' || url === '') return null
  if (/^data:/i.test(url)) return dataUrl(url, fallback)
  return /^(?:https?|gs):\/\//i.test(url) ? { mimeType: null, uri: url } : null
}

/** `data:image/png;base64,...`, or its text percent-encoded. */
function dataUrl(url: string, fallback: string | null): Media | null {
  const comma = url.indexOf(',')
  if (comma < 0) return null
  const [type, ...parameters] = url.slice('data:'.length, comma).split(';')
  const mimeType = knownType(type === '' || type === undefined ? (fallback ?? 'text/plain') : type)
  const data = url.slice(comma + 1)
  if (parameters.some((parameter) => parameter.trim().toLowerCase() === 'base64')) return { mimeType, data }
  try {
    return { mimeType, data: Buffer.from(decodeURIComponent(data)).toString('base64') }
  } catch {
    return null
  }
}

/** `image/jpg` is everywhere, and refused by Google, which goes by the registered names. */
function knownType(type: string): string {
  const lower = type.trim().toLowerCase()
  return lower === 'image/jpg' ? 'image/jpeg' : lower
}

function sound(audio: Part | null): Media | null {
  if (typeof audio?.data !== 'string' || audio.data === '') return null
  if (/^data:/i.test(audio.data)) return dataUrl(audio.data, 'audio/wav')
  return {
    mimeType: `audio/${typeof audio.format === 'string' ? audio.format.toLowerCase() : 'wav'}`,
    data: audio.data,
  }
}

const TYPES: Readonly<Record<string, string>> = {
  pdf: 'application/pdf',
  txt: 'text/plain',
  md: 'text/markdown',
  csv: 'text/csv',
  html: 'text/html',
  json: 'application/json',
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
  mp3: 'audio/mp3',
  wav: 'audio/wav',
  mp4: 'video/mp4',
}

/** A file by its content. One by an id lies in somebody's account, and here that would be everybody's. */
function file(value: Part | null): Media | null {
  const data = value?.file_data
  if (typeof data !== 'string' || data === '') return null
  const ending = typeof value?.filename === 'string' ? value.filename.toLowerCase().split('.').at(-1) : undefined
  const byName = ending !== undefined && Object.hasOwn(TYPES, ending) ? TYPES[ending] : undefined
  if (/^(?:data|https?|gs):/i.test(data)) return byUrl(data, byName ?? null)
  return { mimeType: byName ?? 'application/pdf', data }
}
