/**
 * Tokens of an image, a recording, a film or a file, by Google's published rules: so many for each tile of an image, second of sound or
 * film, and page of a document.
 */

import { type CutTexts, NO_CUTS } from '../cut-texts.ts'
import { asObject } from '../json.ts'
import { base64Bytes, decodeBase64 } from '../media/base64.ts'
import { dataUrlImageSize, type ImageSize } from '../media/image-size.ts'
import { exactly, type MediaSize, pagesOf, unknownMedia, untilFetched, upTo } from '../media/media-size.ts'
import { mp4Seconds } from '../media/mp4-length.ts'
import { soundLength } from '../media/sound-length.ts'
import { generation } from './models.ts'
import { readMedia } from './parts.ts'

const TILE_TOKENS = 258
/** Google shrinks an image to 3,072 pixels, and no tile is smaller than 256. */
const TILES_MAX = 144
const USUAL_IMAGE: ImageSize = { width: 1_024, height: 1_024 }
/** From generation 3 on an image counts the same whatever its size. */
const WHOLE_IMAGE_TOKENS = 1_120

const AUDIO_TOKENS_PER_SECOND = 32
/** A frame of 258 tokens and its sound, each second. */
const FILM_TOKENS_PER_SECOND = 295
/** The largest context window: nine hours of sound, or one of film. */
const LENGTH_TOKENS_MAX = 1_048_576
/** A usual film, 1 Mbit/s. */
const FILM_BYTES_PER_SECOND = 125_000

const PAGE_TOKENS = 258
const NEW_PAGE_TOKENS = 560
const PAGES_MAX = 1_000

type Kind = 'image' | 'audio' | 'video' | 'pdf' | 'text'

/** What Gemini reads by its address: files uploaded to Google, and videos on YouTube. */
const OWN_MEDIA = /^https:\/\/(?:generativelanguage\.googleapis\.com|(?:www\.|m\.)?youtube\.com|youtu\.be)\//i

/** Whether an http(s) address is fetched before the call, since Gemini would not. */
export function mustInline(url: string): boolean {
  return !OWN_MEDIA.test(url)
}

const isFetchedHere = (uri: string) => /^https?:/i.test(uri) && mustInline(uri)

/** Not bounded where nothing in the request tells the size: content by its address. */
export function googleMediaTokens(
  model: string,
  isFetched = isFetchedHere,
): (part: unknown, cuts?: CutTexts) => MediaSize {
  const isNew = generation(model) >= 3
  return (value, cuts = NO_CUTS) => {
    const part = asObject(value)
    const media = part === null ? null : readMedia(part)
    if (media === null) return unknownMedia(part, cuts)
    if (!('data' in media)) {
      const size = part?.type === 'image_url' ? imageTokens('', isNew, cuts) : unknownMedia(part, cuts)
      return isFetched(media.uri) ? untilFetched(size) : size
    }
    const { mimeType, data } = media
    const stated = statedKind(mimeType)
    const found = foundKind(data)
    const size = kindTokens(stated, data, isNew, cuts)
    // Google goes by the type that is stated, and may look at the bytes all the same.
    const other =
      found === null || found === stated || (stated === 'audio' && found === 'video')
        ? null
        : kindTokens(found, data, isNew, cuts)
    return other === null ? size : upTo(Math.max(size.bound ?? 0, other.bound ?? 0), size.expected)
  }
}

function statedKind(mimeType: string): Kind {
  if (mimeType === 'application/pdf') return 'pdf'
  const kind = mimeType.slice(0, mimeType.indexOf('/'))
  return kind === 'image' || kind === 'audio' || kind === 'video' ? kind : 'text'
}

const SIGNS: readonly (readonly [RegExp, Kind])[] = [
  [/^(?:\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP)/s, 'image'],
  [/^(?:RIFF....WAVE|fLaC|OggS|ID3|\xff[\xe0-\xff])/s, 'audio'],
  [/^....(?:ftyp|moov)/s, 'video'],
  [/%PDF/, 'pdf'],
]

function foundKind(data: string): Kind | null {
  const head = Buffer.from(data.slice(0, 1_400), 'base64').toString('latin1')
  return SIGNS.find(([sign]) => sign.test(head))?.[1] ?? null
}

function kindTokens(kind: Kind, data: string, isNew: boolean, cuts: CutTexts): MediaSize {
  if (kind === 'image') return imageTokens(data, isNew, cuts)
  if (kind === 'audio') return audioTokens(data, cuts)
  if (kind === 'video') return filmTokens(data, cuts)
  if (kind === 'text') return upTo(base64Bytes(data, cuts), Math.ceil(base64Bytes(data, cuts) / 4))
  const { bound, expected } = pagesOf(data, cuts)
  const page = isNew ? NEW_PAGE_TOKENS : PAGE_TOKENS
  return upTo(Math.min(PAGES_MAX, bound ?? PAGES_MAX) * page, Math.min(PAGES_MAX, expected) * page)
}

function imageTokens(data: string, isNew: boolean, cuts: CutTexts): MediaSize {
  if (isNew) return exactly(WHOLE_IMAGE_TOKENS)
  const size = dataUrlImageSize(`data:;base64,${data}`, cuts)
  return size === null
    ? upTo(TILES_MAX * TILE_TOKENS, tiles(USUAL_IMAGE) * TILE_TOKENS)
    : exactly(tiles(size) * TILE_TOKENS)
}

/** Small images are one tile; others are cut into tiles of two thirds of their shorter side, from 256 to 768 pixels. */
function tiles({ width, height }: ImageSize): number {
  if (width <= 384 && height <= 384) return 1
  const tile = Math.min(768, Math.max(256, Math.floor(Math.min(width, height) / 1.5)))
  return Math.min(TILES_MAX, Math.ceil(width / tile) * Math.ceil(height / tile))
}

function audioTokens(data: string, cuts: CutTexts): MediaSize {
  const { bound, expected } = soundLength(data, cuts)
  return lengthTokens(bound, expected, AUDIO_TOKENS_PER_SECOND)
}

function filmTokens(data: string, cuts: CutTexts): MediaSize {
  const bytes = decodeBase64(data, cuts)
  const bound = bytes === null ? null : mp4Seconds(bytes)
  return lengthTokens(bound, bound ?? base64Bytes(data, cuts) / FILM_BYTES_PER_SECOND, FILM_TOKENS_PER_SECOND)
}

function lengthTokens(bound: number | null, expected: number, perSecond: number): MediaSize {
  const tokens = (seconds: number) => Math.min(LENGTH_TOKENS_MAX, Math.ceil(seconds) * perSecond)
  return upTo(bound === null ? LENGTH_TOKENS_MAX : tokens(bound), tokens(expected))
}
