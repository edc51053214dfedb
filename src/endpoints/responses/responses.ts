/** POST /v1/responses, in OpenAI's newer dialect, whichever provider serves it. */
import { providerOf } from '../../../providers/registry.ts'
import type { ResponsesProvider, ResponsesRequest } from '../../../providers/responses.ts'
import type { Endpoint, EndpointRequest, SentRequest } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { errorBody } from '../../http/errors.ts'
import { type JsonObject, parseJsonObject } from '../../http/json-object.ts'
import { mediaByChat, termsByChat } from '../by-chat.ts'
import { mentionsUsageQuestion } from '../chat-completions/chat-completions.ts'
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
  read: (body, sent) => responsesCall(readResponsesRequest(wholeOf(body, sent))),
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

/** Media are cut out of parts as chat completions have them; none of a response's. */
function wholeOf(body: JsonObject, sent: SentRequest | undefined): JsonObject {
  return body.cuts === undefined || sent === undefined ? body : parseJsonObject(sent.text)
}

function responsesCall(request: ResponsesRequest): EndpointRequest {
  const byChat = responseByChat(request)
  const call = (termsByOthers: EndpointRequest['termsOn']): EndpointRequest => ({
    text: request.text,
    model: request.model,
    stream: request.stream,
    // What ends a response states its usage, to everybody.
    includeUsage: true,
    powerLevel: request.json.power_level,
    mentionsUsageQuestion: () => mentionsUsageQuestion(request.json),
    remoteMedia(deployments) {
      const others = deployments.filter((deployment) => !speaksResponses(deployment))
      return mediaByChat(byChat, others, call)
    },
    // Providers that speak it get the bytes; others get a chat completion that asks the same.
    termsOn: (deployment) =>
      speaksResponses(deployment)
        ? responsesTerms(request, deployment, providerOf(deployment.provider) as ResponsesProvider)
        : withUsualHold(termsByOthers(deployment)),
  })
  return call((deployment) => termsByChat(byChat, deployment))
}

function speaksResponses({ provider: name, mockResponse, apiBase, supportedEndpoints }: Deployment): boolean {
  const { responses: spoken } = providerOf(name)
  if (mockResponse !== null || spoken === undefined) return false
  return supportedEndpoints === undefined ? spoken.speaksAt(apiBase) : supportedEndpoints.includes(PATH)
}
