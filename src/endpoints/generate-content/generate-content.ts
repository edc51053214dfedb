/**
 * POST /v1beta/models/{model}:generateContent and :streamGenerateContent, in Gemini's dialect, whichever provider serves it. The path
 * names the model and says whether a stream is wanted. A stream has one of two forms.
 */
import type { GenerateProvider, GenerateRequest } from '../../../providers/generate.ts'
import { providerOf } from '../../../providers/registry.ts'
import type { Endpoint, EndpointRequest, StreamForm } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { knownName } from '../../config/listing-of.ts'
import { nativeOrChat } from '../native-or-chat.ts'
import { asArray } from './array-form.ts'
import { generateTerms } from './generate-terms.ts'
import { googleError } from './google-errors.ts'
import { generateMedia } from './media-texts.ts'
import { type Asked, readGenerateRequest } from './read-request.ts'
import { generateByChat } from './translated-terms.ts'
import { generateUsage } from './usage-shape.ts'

export interface AskedForm extends Asked {
  /** True if the stream is one JSON array, not events. */
  isArray: boolean
}

export function generateContent({ isArray, ...asked }: AskedForm): Endpoint {
  const form = isArray ? ARRAY : EVENTS
  return {
    // The body does not name the model: the same body at another path is another request.
    name: `generate-content ${form.contentType} ${asked.stream} ${asked.model}`,
    serviceType: 'llm_inference',
    mediaOf: generateMedia,
    read: (body, sent) => generateCall(readGenerateRequest(body, asked), sent?.text ?? body.text, isArray),
    errorBody: googleError,
    usageShape: generateUsage,
    stream: form,
  }
}

function generateCall(request: GenerateRequest, sent: Buffer, isArray: boolean): EndpointRequest {
  const call = nativeOrChat({ ...request, text: sent }, generateByChat(request, sent), {
    speaks: speaksGemini,
    natively: (deployment) => generateTerms(request, deployment, providerOf(deployment.provider) as GenerateProvider),
  })
  return isArray && request.stream ? inArray(call) : call
}

function inArray(call: EndpointRequest): EndpointRequest {
  return {
    ...call,
    termsOn(deployment) {
      const terms = call.termsOn(deployment)
      return { ...terms, readStream: (context) => asArray(terms.readStream(context)) }
    },
    remoteMedia(deployments) {
      const media = call.remoteMedia(deployments)
      if (media === null) return null
      return {
        ...media,
        open() {
          const opened = media.open()
          return { ...opened, filled: () => inArray(opened.filled()) }
        },
      }
    },
  }
}

function speaksGemini(deployment: Deployment): boolean {
  const { provider, apiBase, mockResponse } = deployment
  return mockResponse === null && providerOf(provider).generate?.isSpokenAt(apiBase, knownName(deployment)) === true
}

const nothing = Buffer.alloc(0)

/** Google's clients take every line that is not an event for an error, so empty lines keep the connection open. */
const EVENTS: StreamForm = {
  contentType: 'text/event-stream; charset=utf-8',
  keepAlive: Buffer.from('\r\n\r\n'),
  pending: nothing,
  end: nothing,
  error: (error) => Buffer.from(`data: ${JSON.stringify(googleError(error))}\r\n\r\n`),
}

const ARRAY: StreamForm = {
  contentType: 'application/json; charset=utf-8',
  keepAlive: Buffer.from('\n'),
  pending: nothing,
  end: Buffer.from(']\n'),
  error: (error, isDelivered) => Buffer.from(`${isDelivered ? ',' : '['}${JSON.stringify(googleError(error))}]\n`),
}
