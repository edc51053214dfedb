/**
 * Images of models that have no route for images and draw where they write: what they can't be told in OpenAI's words, the images that
 * are sent along, and their response as OpenAI's list. The list is then read like OpenAI's own.
 */
import type { FormFile } from './flat-request.ts'
import { dataUrlText } from './media/base64.ts'
import { imageType } from './media/image-size.ts'
import { droppable, isSet } from './openai-dialect.ts'
import type { ProviderError, Refusal } from './provider.ts'

type Json = Readonly<Record<string, unknown>>

/** Members with what they may say all the same: that is what is done anyway. */
const UNHEARD: Readonly<Record<string, readonly unknown[]>> = {
  quality: ['auto', 'standard'],
  background: ['auto', 'opaque'],
  moderation: ['auto'],
  output_compression: [100, '100'],
  output_format: ['png'],
  response_format: ['b64_json'],
  input_fidelity: [],
  style: [],
  complexity: [],
  frame_count: [],
  frame_duration_ms: [],
  svg: [],
  markup: [],
}

/** @param more may say what else of a request a model can't honour. */
export function refusesOfDrawing(json: Json, label: string, imagesMax: number): Refusal[] {
  const refused: Refusal[] = []
  for (const [key, usual] of Object.entries(UNHEARD))
    if (isSet(json, key) && !usual.includes(json[key])) refused.push(droppable(key, label))
  if (Number(json.n ?? 1) > imagesMax)
    refused.push({
      param: 'n',
      message: `This model makes ${imagesMax === 1 ? 'one image' : `${imagesMax} images`} at a time. Ask for fewer.`,
      droppable: true,
    })
  if (json.stream === true || json.stream === 'true')
    refused.push(never('stream', `${label} sends no drafts of this model's images. Leave 'stream' out.`))
  if (isSet(json, 'mask'))
    refused.push(never('mask', `${label} takes no mask. Say in the prompt which part of the image is to be changed.`))
  const images = Array.isArray(json.image) ? (json.image as FormFile[]) : []
  if (images.some(({ bytes }) => imageType(bytes) === null))
    refused.push(never('image', `${label} is sent png, jpeg, webp or gif. Send the image as one of them.`))
  return refused
}

export function never(param: string, message: string): Refusal {
  return { param, message, droppable: false }
}

/** The images of a form, by what their bytes are: their senders may call them anything. */
export function sentImages(files: readonly FormFile[]): { type: string; data: string }[] {
  return files.flatMap(({ bytes }) => {
    const type = imageType(bytes)
    return type === null ? [] : [{ type, data: bytes.toString('base64') }]
  })
}

/** What was drawn, with the usage in OpenAI's words for images. */
export interface Drawn {
  /** Addresses, mostly `data:` URLs. */
  urls: readonly string[]
  usage: Json | null
  /** That served, where it is known. */
  model: string | null
  created: number
}

/** OpenAI's list. */
export function drawnList({ urls, usage, model, created }: Drawn): Buffer {
  const data = urls.map((url) => {
    const bytes = dataUrlText(url)
    return bytes === null ? { url } : { b64_json: bytes }
  })
  const [type] = urls.map((url) => /^data:image\/(png|jpeg|webp);/.exec(url)?.[1])
  return Buffer.from(
    JSON.stringify({
      created,
      data,
      ...(type === undefined ? {} : { output_format: type }),
      ...(model === null ? {} : { model }),
      ...(usage === null ? {} : { usage }),
    }),
  )
}

/** Nothing was drawn: the model refused, or said something instead. @param error the provider's own words for a failure. */
export function undrawn(error: ProviderError, isRefused: boolean, said: string): ProviderError {
  const why = said === '' ? '' : ` It said: ${said.slice(0, 500)}`
  return {
    ...error,
    kind: isRefused ? 'content_filter' : 'bad_request',
    code: isRefused ? null : 'no_image',
    type: 'invalid_request_error',
    message: isRefused
      ? `The provider refused to make this image.${why}`
      : `The model made no image. Ask for one in the prompt.${why}`,
    internal: isRefused ? 'refused to draw' : 'drew nothing',
  }
}
