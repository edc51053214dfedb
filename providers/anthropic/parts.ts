/** Content parts of OpenAI's messages as Claude's blocks: text, images, documents. What Claude can't take is refused by its place. */
import { asObject } from '../json.ts'

type Members = Readonly<Record<string, unknown>>
export type Block = Readonly<Record<string, unknown>>

/** Reports what can't be expressed; `droppable` where a whole member of the request may be left out instead. */
export type Refuse = (param: string, message: string, droppable?: boolean) => void

export interface PartContext {
  refuse: Refuse
  /** Beta features of the API that the blocks need. */
  betas: Set<string>
}

/** A message's content, a string or parts, as blocks; blank text, for which Claude returns 400, is left out. */
export function contentBlocks(content: unknown, path: string, context: PartContext): Block[] {
  if (typeof content === 'string') return textBlocks(content)
  if (content === null || content === undefined) return []
  if (!Array.isArray(content)) {
    context.refuse(path, 'Content must be a string or an array of parts.')
    return []
  }
  return content.flatMap((part, index) => partBlocks(part, `${path}[${index}]`, context))
}

export function textBlocks(text: string): Block[] {
  return text.trim() === '' ? [] : [{ type: 'text', text }]
}

/** The text of a content, its parts joined. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content
    .map((part) => (typeof part === 'string' ? part : (asObject(part)?.text ?? asObject(part)?.refusal)))
    .filter((text) => typeof text === 'string')
    .join('')
}

function partBlocks(value: unknown, path: string, context: PartContext): Block[] {
  if (typeof value === 'string') return textBlocks(value)
  const part = asObject(value) ?? {}
  const text = part.type === 'refusal' ? part.refusal : part.text
  if ((part.type === 'text' || part.type === 'refusal' || part.type === 'input_text') && typeof text === 'string') {
    return textBlocks(text).map((block) => withCacheHint(block, part))
  }
  if (part.type === 'image_url') return imageBlocks(part, path, context)
  if (part.type === 'file') return fileBlocks(part, path, context)
  const kind = typeof part.type === 'string' ? part.type.slice(0, 64) : 'without a type'
  const isSound = kind === 'input_audio'
  context.refuse(
    path,
    isSound ? 'Claude does not take audio.' : `Claude does not take content parts of type '${kind}'.`,
  )
  return []
}

export function withCacheHint(block: Block, from: Members): Block {
  return asObject(from.cache_control) === null ? block : { ...block, cache_control: from.cache_control }
}

interface DataUrl {
  mediaType: string
  base64: string
}

function parseDataUrl(url: string): DataUrl | null {
  const comma = url.indexOf(',')
  if (comma < 0 || comma > 256 || !/^data:/i.test(url)) return null
  const [mediaType = '', ...rest] = url.slice(5, comma).toLowerCase().split(';')
  const data = url.slice(comma + 1)
  if (rest.includes('base64')) return { mediaType, base64: data }
  try {
    return { mediaType, base64: Buffer.from(decodeURIComponent(data)).toString('base64') }
  } catch {
    return null
  }
}

const SIGNS: readonly (readonly [string, string])[] = [
  ['89504e47', 'image/png'],
  ['ffd8ff', 'image/jpeg'],
  ['47494638', 'image/gif'],
  ['25504446', 'application/pdf'],
]

/** The type by its first bytes, for Claude refuses an image whose stated type is another; as stated where they don't tell. */
function mediaTypeOf({ mediaType, base64 }: DataUrl): string {
  const head = Buffer.from(base64.slice(0, 24), 'base64')
  if (head.toString('latin1', 0, 4) === 'RIFF' && head.toString('latin1', 8, 12) === 'WEBP') return 'image/webp'
  const hex = head.toString('hex')
  return SIGNS.find(([sign]) => hex.startsWith(sign))?.[1] ?? (mediaType === 'image/jpg' ? 'image/jpeg' : mediaType)
}

const IMAGE = /^image\/(?:png|jpeg|gif|webp)$/

function imageBlocks(part: Members, path: string, { refuse }: PartContext): Block[] {
  const image = part.image_url
  const url = typeof image === 'string' ? image : asObject(image)?.url
  if (typeof url !== 'string') {
    refuse(`${path}.image_url.url`, 'Give the image as a data: or https: URL.')
    return []
  }
  if (/^https?:/i.test(url)) return [withCacheHint({ type: 'image', source: { type: 'url', url } }, part)]
  const data = parseDataUrl(url)
  const mediaType = data === null ? '' : mediaTypeOf(data)
  if (data === null || !IMAGE.test(mediaType)) {
    refuse(`${path}.image_url.url`, 'Claude takes images as PNG, JPEG, GIF or WebP, in a data: or an https: URL.')
    return []
  }
  return [withCacheHint(base64Block('image', mediaType, data.base64), part)]
}

function base64Block(type: string, mediaType: string, data: string): Block {
  return { type, source: { type: 'base64', media_type: mediaType, data } }
}

const FILES_BETA = 'files-api-2025-04-14'

function fileBlocks(part: Members, path: string, context: PartContext): Block[] {
  const file = asObject(part.file) ?? {}
  const block = fileBlock(file, context)
  if (block === null) {
    context.refuse(
      `${path}.file`,
      'Claude takes PDF, plain text and images, in file_data as a data: URL, or a file_id.',
    )
    return []
  }
  if (block.type === 'image') return [withCacheHint(block, part)]
  const title = typeof file.filename === 'string' && file.filename !== '' ? { title: file.filename.slice(0, 500) } : {}
  const citations = asObject(part.citations) === null ? {} : { citations: part.citations }
  return [withCacheHint({ ...block, ...title, ...citations }, part)]
}

function fileBlock(file: Members, context: PartContext): Block | null {
  if (typeof file.file_id === 'string' && file.file_id !== '') {
    context.betas.add(FILES_BETA)
    return { type: 'document', source: { type: 'file', file_id: file.file_id } }
  }
  if (typeof file.file_data !== 'string') return null
  if (/^https?:/i.test(file.file_data)) return { type: 'document', source: { type: 'url', url: file.file_data } }
  const { mediaType, base64 } = fileContent(file.file_data)
  if (IMAGE.test(mediaType)) return base64Block('image', mediaType, base64)
  if (mediaType === 'application/pdf') return base64Block('document', mediaType, base64)
  if (!mediaType.startsWith('text/')) return null
  const text = Buffer.from(base64, 'base64').toString('utf8')
  return { type: 'document', source: { type: 'text', media_type: 'text/plain', data: text } }
}

/** What Claude is sent for the data of a file. Some clients send the bytes without the `data:` in front. */
export function fileContent(fileData: string): DataUrl {
  const data = parseDataUrl(fileData) ?? { mediaType: '', base64: fileData }
  return { mediaType: mediaTypeOf(data), base64: data.base64 }
}
