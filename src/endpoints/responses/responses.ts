/** POST /v1/responses, in OpenAI's newer dialect, whichever provider serves it. */
import { providerOf } from '../../../providers/registry.ts'
import type { ResponsesProvider, ResponsesRequest } from '../../../providers/responses.ts'
import type { Endpoint, EndpointRequest } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { errorBody } from '../../http/errors.ts'
import { nativeOrChat, wholeBody } from '../native-or-chat.ts'
import { event } from './event.ts'
import { readResponsesRequest } from './read-request.ts'
import { responsesTerms } from './responses-terms.ts'
import { streamError } from './stream-error.ts'
import { responseByChat, withUsualHold } from './translated-terms.ts'
import { responseUsage } from './usage-shape.ts'

const PATH = '/v1/responses'

export const responses: Endpoint = {
  name: 'responses',
  serviceType: 'llm_inference',
  read: (body, sent) => responsesCall(readResponsesRequest(wholeBody(body, sent))),
  errorBody,
  usageShape: responseUsage,
  stream: {
    contentType: 'text/event-stream; charset=utf-8',
    // An event, for Codex waits five minutes for one and takes no comment for it.
    keepAlive: event('keepalive', { sequence_number: 0 }),
    pending: Buffer.from(': settlement pending\n\n'),
    // The event that states the usage is the last one.
    end: Buffer.alloc(0),
    error: streamError,
  },
}

function responsesCall(request: ResponsesRequest): EndpointRequest {
  return nativeOrChat(request, responseByChat(request), {
    speaks: speaksResponses,
    natively: (deployment) => responsesTerms(request, deployment, providerOf(deployment.provider) as ResponsesProvider),
    byChat: withUsualHold,
  })
}

function speaksResponses({ provider: name, mockResponse, apiBase, supportedEndpoints }: Deployment): boolean {
  const { responses: spoken } = providerOf(name)
  if (mockResponse !== null || spoken === undefined) return false
  return supportedEndpoints === undefined ? spoken.speaksAt(apiBase) : supportedEndpoints.includes(PATH)
}
