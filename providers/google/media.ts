/**
 * The most tokens an image, a recording, a film or a file can count as, by Google's published rules: a token count for each tile of an
 * image, second of sound or film, and page of a document. What a container hides is bounded by its size. For holds only; a call is
 * charged at what Google states.
 */

import { audioSeconds, base64Bytes } from '../audio-seconds.ts'
import { dataUrlImageSize } from '../image-size.ts'
import { asObject } from '../json.ts'
import { generation } from './models.ts'
import { readMedia } from './parts.ts'

const TILE_TOKENS = 258
/** Unknown sizes are taken for the photograph of a large phone camera. */
const UNKNOWN_TILES = 32
/** From generation 3 on an image counts the same whatever its size. */
const WHOLE_IMAGE_TOKENS = 1_120

const AUDIO_TOKENS_PER_SECOND = 32
/** A frame of 258 tokens and its sound, each second. */
const FILM_TOKENS_PER_SECOND = 295
/** A film without a stated length: 32 kbit/s, below which nothing can be seen. */
const LEAST_FILM_BYTES_PER_SECOND = 4_000

const PAGE_TOKENS = 258
const NEW_PAGE_TOKENS = 560
const PAGES_MAX = 1_000
/** Where pages can't be counted. Even an empty page takes some hundred bytes. */
const LEAST_PAGE_BYTES = 500

/** Null where nothing in the request bounds the part: content by its address. */
export function googleMediaTokens(model: string): (part: unknown) => number | null {
  const isNew = generation(model) >= 3
  return (value) => {
    const part = asObject(value)
    const media = part === null ? null : readMedia(part)
    if (media === null) return null
    if (!('data' in media)) {
      // A picture's address is replaced by the picture before the call; until then its size is unknown.
      return part?.type === 'image_url' ? (isNew ? WHOLE_IMAGE_TOKENS : UNKNOWN_TILES * TILE_TOKENS) : null
    }
    const { mimeType, data } = media
    if (mimeType.startsWith('image/'))
      return isNew ? WHOLE_IMAGE_TOKENS : imageTokens(`data:${mimeType};base64,${data}`)
    if (mimeType.startsWith('audio/')) return audioTokens(data)
    if (mimeType.startsWith('video/')) return filmTokens(data)
    if (mimeType === 'application/pdf') return pages(data) * (isNew ? NEW_PAGE_TOKENS : PAGE_TOKENS)
    return base64Bytes(data)
  }
}

/** Small images are one tile; others are cut into tiles of two thirds of their shorter side, from 256 to 768 pixels. */
function imageTokens(url: string): number {
  const size = dataUrlImageSize(url)
  if (size === null) return UNKNOWN_TILES * TILE_TOKENS
  if (size.width <= 384 && size.height <= 384) return TILE_TOKENS
  const tile = Math.min(768, Math.max(256, Math.floor(Math.min(size.width, size.height) / 1.5)))
  return Math.ceil(size.width / tile) * Math.ceil(size.height / tile) * TILE_TOKENS
}

function audioTokens(data: string): number {
  return Math.ceil(audioSeconds(data)) * AUDIO_TOKENS_PER_SECOND
}

/** An MP4 or QuickTime film states its length in the box `mvhd`. */
function filmTokens(data: string): number {
  const bytes = Buffer.from(data, 'base64')
  const at = bytes.indexOf('mvhd')
  const isLong = bytes[at + 4] === 1
  const scale = at < 0 || at + 40 > bytes.length ? 0 : bytes.readUInt32BE(at + (isLong ? 24 : 16))
  const stated =
    scale === 0 ? null : Number(isLong ? bytes.readBigUInt64BE(at + 28) : bytes.readUInt32BE(at + 20)) / scale
  const most = bytes.length / LEAST_FILM_BYTES_PER_SECOND
  return Math.ceil(stated === null || stated === 0 ? most : stated) * FILM_TOKENS_PER_SECOND
}

function pages(data: string): number {
  const bytes = Buffer.from(data, 'base64')
  const text = bytes.toString('latin1')
  const seen = text.match(/\/Type\s*\/Page(?![a-zA-Z])/g)?.length ?? 0
  // Pages inside compressed objects don't show.
  const hidden = seen === 0 || text.includes('/ObjStm')
  const most = Math.max(1, Math.ceil(bytes.length / LEAST_PAGE_BYTES))
  return Math.min(PAGES_MAX, hidden ? Math.max(seen, Math.min(most, countedPages(text) ?? most)) : seen)
}

/** The page tree's own count, where it can be read. */
function countedPages(text: string): number | null {
  const counts = [...text.matchAll(/\/Count\s+(\d{1,6})/g)].map((match) => Number(match[1]))
  return counts.length === 0 ? null : Math.max(...counts)
}
