/** POST /v1/messages, in Anthropic's dialect, whichever provider serves it. */
import type { MessagesProvider, MessagesRequest } from '../../../providers/messages.ts'
import { providerOf } from '../../../providers/registry.ts'
import type { Endpoint, EndpointRequest, SentRequest } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { type JsonObject, parseJsonObject } from '../../http/json-object.ts'
import { mediaByChat, termsByChat } from '../by-chat.ts'
import { mentionsUsageQuestion } from '../chat-completions/chat-completions.ts'
import { messageError } from './message-errors.ts'
import { messagesTerms } from './messages-terms.ts'
import { readMessagesRequest } from './read-request.ts'
import { messageByChat } from './translated-terms.ts'
import { messageUsage } from './usage-shape.ts'

const event = (name: string, data: unknown) => Buffer.from(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)

export const messages: Endpoint = {
  name: 'messages',
  serviceType: 'llm_inference',
  read: (body, sent) => messagesCall(readMessagesRequest(wholeOf(body, sent), sent?.headers ?? {})),
  errorBody: messageError,
  usageShape: messageUsage,
  stream: {
    contentType: 'text/event-stream; charset=utf-8',
    keepAlive: event('ping', { type: 'ping' }),
    pending: Buffer.from(': settlement pending\n\n'),
    end: event('message_stop', { type: 'message_stop' }),
    error: (error) => event('error', messageError(error)),
  },
}

/** The same request, to be counted: it need not say how long the answer may be. */
export const countedMessages: Endpoint = {
  ...messages,
  read: (body, sent) => messagesCall(readMessagesRequest(wholeOf(body, sent), sent?.headers ?? {}, 1)),
}

/** Media are cut out of parts as chat completions have them; none of a message's. */
function wholeOf(body: JsonObject, sent: SentRequest | undefined): JsonObject {
  return body.cuts === undefined || sent === undefined ? body : parseJsonObject(sent.text)
}

function messagesCall(request: MessagesRequest): EndpointRequest {
  const byChat = messageByChat(request)
  const translated: EndpointRequest['termsOn'] = (deployment) => termsByChat(byChat, deployment)
  const call = (termsOn: EndpointRequest['termsOn']): EndpointRequest => ({
    text: request.text,
    model: request.model,
    stream: request.stream,
    // What ends a message states its usage, to everybody.
    includeUsage: true,
    powerLevel: request.json.power_level,
    mentionsUsageQuestion: () => mentionsUsageQuestion(request.json),
    remoteMedia(deployments) {
      const others = deployments.filter((deployment) => !speaksMessages(deployment))
      return mediaByChat(byChat, others, (remade) => call(termsFor(request, remade)))
    },
    termsOn,
  })
  return call(termsFor(request, translated))
}

/** Providers that speak it get the bytes; others get a chat completion that asks the same. */
function termsFor(request: MessagesRequest, translated: EndpointRequest['termsOn']): EndpointRequest['termsOn'] {
  return (deployment) =>
    speaksMessages(deployment)
      ? messagesTerms(request, deployment, providerOf(deployment.provider) as MessagesProvider)
      : translated(deployment)
}

function speaksMessages({ provider, mockResponse }: Deployment): boolean {
  return mockResponse === null && providerOf(provider).messages !== undefined
}
