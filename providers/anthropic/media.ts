/** Tokens of images and documents, by Anthropic's published rules. */
import { type CutTexts, NO_CUTS } from '../cut-texts.ts'
import { estimateText } from '../estimate-text.ts'
import { asObject } from '../json.ts'
import { dataUrlImageSize, type ImageSize } from '../media/image-size.ts'
import { exactly, type MediaSize, pagesOf, unknownMedia, upTo, usualText } from '../media/media-size.ts'
import { claudeModel } from './models.ts'
import { fileContent } from './parts.ts'

type ImageRule = { tokens: number; edge: number }

/** Not bounded where nothing in the request tells the size: a file by its id or its address. */
export function claudeMediaTokens(name: string): (part: unknown, cuts?: CutTexts) => MediaSize {
  const { image, ...model } = claudeModel(name)
  return (value, cuts = NO_CUTS) => {
    const part = asObject(value)
    if (part?.type === 'image_url') {
      const url = typeof part.image_url === 'string' ? part.image_url : asObject(part.image_url)?.url
      return imageTokens(typeof url === 'string' ? url : '', image, cuts)
    }
    const data = asObject(part?.file)?.file_data
    if (part?.type !== 'file' || typeof data !== 'string' || /^https?:/i.test(data)) return unknownMedia(part, cuts)
    const { mediaType, base64 } = fileContent(data)
    if (mediaType.startsWith('image/')) return imageTokens(`data:${mediaType};base64,${base64}`, image, cuts)
    if (!mediaType.startsWith('text/')) return pdfTokens(base64, model.maxOutputTokens, cuts)
    const text = Buffer.from(base64, 'base64').toString('utf8')
    const bytes = Buffer.byteLength(text)
    return upTo(Math.min(bytes, Math.ceil(estimateText(text) * 1.5)), Math.ceil(bytes / USUAL_TOKEN_BYTES))
  }
}

/** Of English text in Claude's tokens. */
const USUAL_TOKEN_BYTES = 3

const USUAL_IMAGE: ImageSize = { width: 1_024, height: 1_024 }

function imageTokens(url: string, rule: ImageRule, cuts: CutTexts): MediaSize {
  const size = dataUrlImageSize(url, cuts)
  return size === null ? upTo(rule.tokens, sizeTokens(USUAL_IMAGE, rule)) : exactly(sizeTokens(size, rule))
}

/** A patch of 28 pixels is a token (and by the older rule, 750 pixels are); a large image is shrunk first. */
function sizeTokens(size: ImageSize, { tokens, edge }: ImageRule): number {
  const scale = Math.min(1, edge / Math.max(size.width, size.height))
  const width = Math.ceil(size.width * scale)
  const height = Math.ceil(size.height * scale)
  const patches = Math.ceil(width / 28) * Math.ceil(height / 28)
  return Math.min(tokens, Math.max(patches, Math.ceil((width * height) / 750)))
}

/** Published: 1,500 to 3,000 tokens of text a page, and the page as an image. */
const PAGE_TEXT_TOKENS = { usual: 1_500, most: 3_000 }
/** Also by models that look at images closer: Sonnet 5 bills 1,650 tokens for a page with little on it (recorded). */
const PAGE_IMAGE: ImageRule = { tokens: 1_600, edge: 1_568 }
/** A page of letter paper, at the 1,568 pixels Claude is shown. */
const USUAL_PAGE: ImageSize = { width: 1_212, height: 1_568 }

function pdfTokens(data: string, maxOutputTokens: number | null, cuts: CutTexts): MediaSize {
  // Models with a context window of a million tokens take 600 pages, the others 100.
  const most = (maxOutputTokens ?? 128_000) >= 128_000 ? 600 : 100
  const pages = pagesOf(data, cuts)
  return upTo(
    Math.min(most, pages.bound ?? most) * (PAGE_TEXT_TOKENS.most + PAGE_IMAGE.tokens),
    Math.min(most, pages.expected) * (usualText(pages, PAGE_TEXT_TOKENS.usual) + sizeTokens(USUAL_PAGE, PAGE_IMAGE)),
  )
}
