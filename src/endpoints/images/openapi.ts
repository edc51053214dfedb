/** The routes of images, for OpenAPI. */
import { formBody, openBody, operationOf } from '../describe-call.ts'
import { IMAGES_MAX } from './read-request.ts'

const MEMBERS = {
  model: { type: 'string' },
  prompt: { type: 'string', minLength: 1 },
  n: { type: 'integer', minimum: 1, maximum: IMAGES_MAX },
  size: { type: 'string' },
  quality: { type: 'string' },
  output_format: { type: 'string', enum: ['png', 'jpeg', 'webp'] },
  stream: { type: 'boolean' },
  partial_images: { type: 'integer', minimum: 0, maximum: 3 },
  aspect_ratio: {
    type: 'string',
    description: 'The ratio of the sides, for models of Google, xAI and OpenRouter: `16:9`.',
  },
}
const RESPONSE = "OpenAI's list of images, or a stream of its events."

export const generationsOperation = operationOf(
  {
    summary: 'Images',
    description:
      "OpenAI's request and response. Held for the dearest that may be made, charged by the tokens that the provider states, or by the image where the operator prices it so. Models that draw where they write (Gemini, OpenRouter) answer in the same form. The usage at the end states in `cost` the dollars charged.",
    response: RESPONSE,
  },
  openBody(MEMBERS, ['model', 'prompt']),
)

export const editsOperation = operationOf(
  {
    summary: 'Images from images',
    description:
      "OpenAI's form: the images in `image` (or `image[]`), a `mask`, and the members of a request for images. It is read, checked and written anew: a field that stands in it twice is a 400.",
    response: RESPONSE,
  },
  formBody({ ...MEMBERS, image: { type: 'string', format: 'binary' }, mask: { type: 'string', format: 'binary' } }, [
    'model',
    'prompt',
    'image',
  ]),
)

export const opsCenterImagesOperation = operationOf(
  {
    summary: "Images, for Ops-Center's callers",
    description:
      'The same; what the model can not honour of the words of older ones (`style`, `response_format`) is left out, each image has a `url`, and `_metadata` says what the call cost.',
    response: "OpenAI's list of images, with `_metadata`.",
  },
  openBody(MEMBERS, ['model', 'prompt']),
)
