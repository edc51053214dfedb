/** Tokens of the blocks that are not text, by the rules for the same in OpenAI's parts. */
import type { CutTexts } from '../../cut-texts.ts'
import { asObject } from '../../json.ts'
import type { MediaSize } from '../../media/media-size.ts'
import { claudeMediaTokens } from '../media.ts'

type Json = Readonly<Record<string, unknown>>

export function blockTokens(model: string): (block: unknown, cuts?: CutTexts) => MediaSize {
  const tokensOf = claudeMediaTokens(model)
  return (block, cuts) => tokensOf(partOf(asObject(block) ?? {}), cuts)
}

/** `image` and `document`; what stands by an id, or a document by its address, tells no size. */
function partOf(block: Json): Json {
  const source = asObject(block.source) ?? {}
  const { media_type: mediaType, data, url } = source
  const dataUrl =
    typeof data === 'string' ? `data:${typeof mediaType === 'string' ? mediaType : ''};base64,${data}` : null
  if (block.type === 'image' && (dataUrl !== null || typeof url === 'string'))
    return { type: 'image_url', image_url: { url: dataUrl ?? url } }
  return dataUrl === null ? { type: block.type } : { type: 'file', file: { file_data: dataUrl } }
}
