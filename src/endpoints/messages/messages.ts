/** POST /v1/messages, in Anthropic's dialect, whichever provider serves it. */
import type { MessagesProvider, MessagesRequest } from '../../../providers/messages.ts'
import { providerOf } from '../../../providers/registry.ts'
import type { Endpoint, EndpointRequest } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { nativeOrChat, wholeBody } from '../native-or-chat.ts'
import { messageError } from './message-errors.ts'
import { messagesTerms } from './messages-terms.ts'
import { readMessagesRequest } from './read-request.ts'
import { messageByChat } from './translated-terms.ts'
import { messageUsage } from './usage-shape.ts'

const event = (name: string, data: unknown) => Buffer.from(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)

export const messages: Endpoint = {
  name: 'messages',
  serviceType: 'llm_inference',
  read: (body, sent) => messagesCall(readMessagesRequest(wholeBody(body, sent), sent?.headers ?? {})),
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
  read: (body, sent) => messagesCall(readMessagesRequest(wholeBody(body, sent), sent?.headers ?? {}, 1)),
}

function messagesCall(request: MessagesRequest): EndpointRequest {
  return nativeOrChat(request, messageByChat(request), {
    speaks: speaksMessages,
    natively: (deployment) => messagesTerms(request, deployment, providerOf(deployment.provider) as MessagesProvider),
  })
}

function speaksMessages({ provider, mockResponse }: Deployment): boolean {
  return mockResponse === null && providerOf(provider).messages !== undefined
}
