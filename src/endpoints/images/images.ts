/** POST /v1/images/generations and /v1/images/edits, in OpenAI's dialect, whichever provider serves it. */
import type { ImagesRequest } from '../../../providers/images.ts'
import { inputTokens, outputTokens, type Usage } from '../../../providers/usage.ts'
import type { Endpoint, EndpointRequest } from '../../call/endpoint.ts'
import { errorBody, TollgateError } from '../../http/errors.ts'
import { EVENTS, flatCall } from '../flat/flat-call.ts'
import { imagesTerms } from './images-terms.ts'
import { readEdit, readGeneration } from './read-request.ts'

const common: Pick<Endpoint, 'serviceType' | 'errorBody' | 'usageShape' | 'stream'> = {
  serviceType: 'image_generation',
  errorBody,
  usageShape: imageUsage,
  stream: EVENTS,
}

export const imageGenerations: Endpoint = {
  ...common,
  name: 'images.generations',
  read: (body) => imagesCall(readGeneration(body)),
}

export const imageEdits: Endpoint = {
  ...common,
  name: 'images.edits',
  read() {
    const message = 'Send an edit as a form (multipart/form-data), with the image as a file in "image".'
    throw new TollgateError(415, 'unsupported_media_type', message)
  },
  readForm(form) {
    return imagesCall(readEdit(form))
  },
}

/** @param isLenient leaves out what the model can't honour. */
export function imagesCall(request: ImagesRequest, isLenient = false): EndpointRequest {
  return flatCall(request.flat, (deployment) => imagesTerms(request, deployment, isLenient))
}

/** Usage in OpenAI's form. */
function imageUsage(usage: Usage) {
  const [input, output] = [inputTokens(usage), outputTokens(usage)]
  return {
    input_tokens: input,
    output_tokens: output,
    total_tokens: input + output,
    input_tokens_details: { text_tokens: input - usage.imageInput, image_tokens: usage.imageInput },
  }
}
