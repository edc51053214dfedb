/** What a content part that is not text counts as, in tokens: at most, which holds cover, and usually, which is charged where nobody stated usage. */
import { type CutTexts, NO_CUTS } from '../cut-texts.ts'
import { asObject } from '../json.ts'
import { base64Bytes, decodeBase64 } from './base64.ts'
import { pdfPages } from './pdf-pages.ts'
import { soundLength } from './sound-length.ts'

export interface MediaSize {
  /** Null where nothing but the model's context window bounds it: a file by its id, a part of an unknown type. */
  bound: number | null
  /** Never above the bound. */
  expected: number
  /**
   * The least that a hold covers of it where the credits are short. Left out where it goes by what the item can be at most: by the
   * context window, for what has no bound.
   */
  least?: number
}

/** Where the size is certain. */
export function exactly(tokens: number): MediaSize {
  return { bound: tokens, expected: tokens }
}

/** A usual size, where one item can be `most` at most. */
export function upTo(most: number | null, expected: number): MediaSize {
  return { bound: most, expected: most === null ? expected : Math.min(most, expected) }
}

/** Bytes of a usual page: text alone is ten to fifty thousand, a scanned page a hundred thousand and more. */
const PAGE_BYTES = 100_000

export interface Pages {
  /** Null where that can't be proved. */
  bound: number | null
  /** By the size of the file where the pages can't be counted; at least one. */
  expected: number
  /** Tokens of text that a usual page may have by what stands on it; null where that is not known. */
  text: number | null
}

/** Bytes of a page's content for a token of its text: letters come with places, sizes and fonts. */
const CONTENT_BYTES_PER_TOKEN = 6

/** Pages of a PDF in base64. */
export function pagesOf(data: string, cuts: CutTexts = NO_CUTS): Pages {
  const pages = cuts.once(data, () => {
    const bytes = decodeBase64(data, cuts)
    return bytes === null ? null : pdfPages(bytes, cuts.inflating)
  })
  if (pages === null) return { bound: null, expected: usualPages(base64Bytes(data, cuts)), text: null }
  return { bound: pages.count, expected: pages.count, text: Math.ceil(pages.content / CONTENT_BYTES_PER_TOKEN) }
}

/** Tokens of text on a usual page of the file: of such as have `usual` of them, less where little stands on it. */
export function usualText({ text }: Pages, usual: number): number {
  return text === null ? usual : Math.min(usual, text)
}

export function usualPages(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / PAGE_BYTES))
}

/** The base64 behind a `data:` URL, or the text itself. */
export function dataOf(text: string): string {
  return /^data:/i.test(text) ? text.slice(text.indexOf(',') + 1) : text
}

/** Of what is fetched and measured before the call goes out: until then it is held as far as the credits go. */
export function untilFetched({ bound, expected }: MediaSize): MediaSize {
  return { bound, expected, least: expected }
}

const USUAL_IMAGE = 1_500
const USUAL_SECOND = 25
const USUAL_PAGE = 2_000

/**
 * Of a model whose rules are not known: bounded by its context window alone. No model's image, second of sound or page takes a window,
 * so an item that shows how many of them it is may be held at its usual size where the credits are short.
 */
export function unknownMedia(value: unknown, cuts: CutTexts = NO_CUTS): MediaSize {
  const part = asObject(value)
  const sound = asObject(part?.input_audio)?.data
  if (typeof sound === 'string') {
    const { bound, expected } = soundLength(dataOf(sound), cuts)
    return unknownItem(bound !== null, Math.ceil(expected) * USUAL_SECOND)
  }
  if (part?.type !== 'file') return unknownItem(part?.type === 'image_url', USUAL_IMAGE)
  const file = asObject(part.file)?.file_data
  if (typeof file !== 'string' || /^https?:/i.test(file)) return unknownItem(false, USUAL_PAGE)
  const { bound, expected } = pagesOf(dataOf(file), cuts)
  return unknownItem(bound !== null, expected * USUAL_PAGE)
}

function unknownItem(isCounted: boolean, expected: number): MediaSize {
  return { bound: null, expected, ...(isCounted ? { least: expected } : {}) }
}
