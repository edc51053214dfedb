/** Upper bounds of the tokens of images and documents, by Anthropic's published rules. */
import { estimateText } from '../../src/metering/estimate.ts'
import { dataUrlImageSize } from '../image-size.ts'
import { asObject } from '../json.ts'
import { claudeModel } from './models.ts'

/** Null where nothing in the request bounds the part: a file by its id or its address. */
export function claudeMediaTokens(name: string): (part: unknown) => number | null {
  const { image, ...model } = claudeModel(name)
  return (value) => {
    const part = asObject(value)
    if (part?.type === 'image_url') {
      const url = typeof part.image_url === 'string' ? part.image_url : asObject(part.image_url)?.url
      return imageTokens(typeof url === 'string' ? url : '', image)
    }
    const data = asObject(part?.file)?.file_data
    if (part?.type !== 'file' || typeof data !== 'string' || /^https?:/i.test(data)) return null
    const bytes = Buffer.from(data.slice(data.indexOf(',') + 1), 'base64')
    if (bytes.toString('latin1', 0, 4) === '%PDF') {
      return pdfPages(bytes, model.maxOutputTokens) * (PAGE_TEXT_TOKENS + image.tokens)
    }
    if (/^data:image\//i.test(data)) return image.tokens
    return Math.ceil(estimateText(bytes.toString('utf8')) * 1.5)
  }
}

/** A patch of 28 pixels is a token (and by the older rule, 750 pixels are); a large image is shrunk first. */
function imageTokens(url: string, { tokens, edge }: { tokens: number; edge: number }): number {
  const size = dataUrlImageSize(url)
  if (size === null) return tokens
  const scale = Math.min(1, edge / Math.max(size.width, size.height))
  const width = Math.ceil(size.width * scale)
  const height = Math.ceil(size.height * scale)
  const patches = Math.ceil(width / 28) * Math.ceil(height / 28)
  return Math.min(tokens, Math.max(patches, Math.ceil((width * height) / 750)))
}

/** Published: 1,500 to 3,000 tokens of text a page, and the page as an image. */
const PAGE_TEXT_TOKENS = 3_000

/** Pages by the objects that say so; where those are compressed, by the tree's count, else one for each two kilobytes. */
function pdfPages(bytes: Buffer, largeModel: number | null): number {
  const most = (largeModel ?? 128_000) >= 128_000 ? 600 : 100
  const text = bytes.toString('latin1')
  const listed = text.match(/\/Type\s*\/Page(?![a-zA-Z])/g)?.length ?? 0
  const counted = Math.max(0, ...[...text.matchAll(/\/Count\s+(\d{1,5})/g)].map((match) => Number(match[1])))
  const pages = Math.max(listed, counted)
  return Math.min(most, pages > 0 ? pages : Math.ceil(bytes.length / 2_048))
}
