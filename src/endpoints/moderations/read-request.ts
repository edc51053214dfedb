/** Reads a request for moderations: texts, and parts that are texts or images. */
import type { FlatRequest } from '../../../providers/flat-request.ts'
import { asObject } from '../../../providers/json.ts'
import { KNOWN_MODERATION } from '../../../providers/known-members/media-members.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { readFlatJson } from '../flat/read-flat.ts'
import { bad, unsupported } from '../read-members.ts'

export interface ModerationRequest {
  flat: FlatRequest
  texts: readonly string[]
  hasImages: boolean
}

/** OpenAI's own default. */
const USUAL_MODEL = 'omni-moderation-latest'

/** @throws {TollgateError} 400, naming the member that is wrong. */
export function readModeration(body: JsonObject): ModerationRequest {
  const { model = null } = body.json
  const flat = readFlatJson({ ...body, json: { ...body.json, model: model ?? USUAL_MODEL } }, KNOWN_MODERATION)
  if (flat.stream) throw unsupported('stream', "Moderations are not streamed. Leave 'stream' out.")
  const { input } = flat.json
  const parts = Array.isArray(input) ? input : [input]
  if (parts.length === 0) throw bad('input', EXPECTED)
  const texts: string[] = []
  let hasImages = false
  for (const part of parts) {
    const { type, text, image_url: image } = asObject(part) ?? {}
    if (typeof part === 'string') texts.push(part)
    else if (type === 'text' && typeof text === 'string') texts.push(text)
    else if (type === 'image_url' && asObject(image) !== null) hasImages = true
    else throw bad('input', EXPECTED)
  }
  return { flat, texts, hasImages }
}

const EXPECTED = '"input" must be a text, a list of texts, or a list of parts of type "text" or "image_url".'
