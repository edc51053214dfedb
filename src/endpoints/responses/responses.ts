/** POST /v1/responses, in OpenAI's newer dialect, whichever provider serves it. */
import { providerOf } from '../../../providers/registry.ts'
import type { ResponsesProvider, ResponsesRequest } from '../../../providers/responses.ts'
import type { Endpoint, EndpointRequest } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { finalError } from '../final-error.ts'
import { refuseOtherThanChat } from '../model-kinds.ts'
import { nativeOrChat } from '../native-or-chat.ts'
import { codexCredits } from './codex-headers.ts'
import { event } from './event.ts'
import { responseMedia } from './media-texts.ts'
import { readResponsesRequest } from './read-request.ts'
import { memoryOf } from './request-memory.ts'
import { responseError } from './response-errors.ts'
import { responsesTerms } from './responses-terms.ts'
import { streamError } from './stream-error.ts'
import { responseByChat, withUsualHold } from './translated-terms.ts'
import { responseUsage } from './usage-shape.ts'

const PATH = '/v1/responses'

export const responses: Endpoint = {
  name: 'responses',
  serviceType: 'llm_inference',
  mediaOf: responseMedia,
  read: (body, sent) => responsesCall(readResponsesRequest(body), sent?.text ?? body.text),
  errorBody: responseError,
  errorFor: finalError,
  headers: { credits: codexCredits },
  usageShape: responseUsage,
  stream: {
    contentType: 'text/event-stream; charset=utf-8',
    // An event keeps the connection open: Codex waits five minutes for one, and ignores comments.
    keepAlive: event('keepalive', { sequence_number: 0 }),
    pending: Buffer.from(': settlement pending\n\n'),
    // The event with the usage ends the stream.
    end: Buffer.alloc(0),
    error: streamError,
  },
}

function responsesCall(request: ResponsesRequest, sent: Buffer): EndpointRequest {
  const memory = memoryOf(request, (filled) => responsesCall(filled, sent))
  return nativeOrChat({ ...request, text: sent, memory }, responseByChat(request, sent), {
    speaks: speaksResponses,
    natively(deployment) {
      refuseOtherThanChat(deployment)
      return responsesTerms(request, deployment, providerOf(deployment.provider) as ResponsesProvider)
    },
    byChat: withUsualHold,
  })
}

function speaksResponses({ provider: name, mockResponse, apiBase, supportedEndpoints }: Deployment): boolean {
  const { responses: spoken } = providerOf(name)
  if (mockResponse !== null || spoken === undefined) return false
  return supportedEndpoints === undefined ? spoken.speaksAt(apiBase) : supportedEndpoints.includes(PATH)
}
