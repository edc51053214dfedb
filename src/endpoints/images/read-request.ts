/** Reads a request for images: checks what we rely on and leaves the rest as it is. */
import { bareName, type FlatRequest, type Form } from '../../../providers/flat-request.ts'
import type { ImageAsked, ImagesRequest } from '../../../providers/images.ts'
import { KNOWN_EDIT, KNOWN_GENERATION } from '../../../providers/known-members/media-members.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { integerOf, readFlatForm, readFlatJson, textOf, wordOf } from '../flat/read-flat.ts'
import { bad } from '../read-members.ts'

type Json = Readonly<Record<string, unknown>>

/** The most images that OpenAI makes at a time. */
export const IMAGES_MAX = 10
const PARTIALS_MAX = 3
/** The most images that OpenAI takes in a request, besides a mask. */
const SENT_MAX = 16
const SIDE_MAX = 16_384

/** @throws {TollgateError} 400, naming the member that is wrong. */
export function readGeneration(body: JsonObject): ImagesRequest {
  return readImages(readFlatJson(body, KNOWN_GENERATION))
}

/** @throws {TollgateError} 400, naming the field that is wrong. */
export function readEdit(form: Form): ImagesRequest {
  const request = readImages(readFlatForm(form, KNOWN_EDIT))
  for (const { field } of form.files)
    if (!FILES.has(bareName(field)))
      throw bad(bareName(field), `"${bareName(field)}" is not a file of an edit. Send the files as "image" and "mask".`)
  const images = form.files.filter(({ field }) => bareName(field) === 'image').length
  if (images === 0) throw bad('image', 'Send the image to be edited as a file in "image".')
  if (images > SENT_MAX) throw bad('image', `Send at most ${SENT_MAX} images.`)
  return request
}

const FILES: ReadonlySet<string> = new Set(['image', 'mask'])

/** Checks members that the operator's defaults may still complete. */
function readImages(flat: FlatRequest): ImagesRequest {
  const { json, form } = flat
  askedOf(json, form)
  return { flat, prompt: textOf(json, 'prompt') }
}

/** @param json with the operator's defaults, or without. @throws {TollgateError} 400. */
export function askedOf(json: Json, form: Form | null): ImageAsked {
  return {
    n: integerOf(json, 'n', { least: 1, most: IMAGES_MAX, usual: 1 }),
    size: sizeOf(wordOf(json, 'size')),
    quality: wordOf(json, 'quality'),
    partials: integerOf(json, 'partial_images', { least: 0, most: PARTIALS_MAX, usual: 0 }),
    sent: form?.files.length ?? 0,
    isFaithful: json.input_fidelity === 'high',
  }
}

function sizeOf(written: string | null): ImageAsked['size'] {
  if (written === null || written === 'auto') return null
  const [, width = 0, height = 0] = (/^(\d{1,5})x(\d{1,5})$/.exec(written) ?? []).map(Number)
  if (width >= 1 && height >= 1 && width <= SIDE_MAX && height <= SIDE_MAX) return { width, height }
  throw bad('size', '"size" must be "auto", or a width and a height in pixels such as "1024x1024".')
}
