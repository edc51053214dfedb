/** POST /v1/messages, in Anthropic's dialect, whichever provider serves it. */
import type { MessagesProvider, MessagesRequest } from '../../../providers/messages.ts'
import { providerOf } from '../../../providers/registry.ts'
import type { Endpoint, EndpointRequest } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { knownName } from '../../config/listing-of.ts'
import { finalError } from '../final-error.ts'
import { nativeOrChat } from '../native-or-chat.ts'
import { messageMedia } from './media-texts.ts'
import { messageError } from './message-errors.ts'
import { messagesTerms } from './messages-terms.ts'
import { messageRate } from './rate-headers.ts'
import { readMessagesRequest } from './read-request.ts'
import { messageByChat } from './translated-terms.ts'
import { messageUsage } from './usage-shape.ts'

const event = (name: string, data: unknown) => Buffer.from(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)

export const messages: Endpoint = {
  name: 'messages',
  serviceType: 'llm_inference',
  mediaOf: messageMedia,
  isOwnMember: isFallbackOfClaudes,
  read: (body, sent) => messagesCall(readMessagesRequest(body, sent?.headers ?? {}), sent?.text ?? body.text),
  errorBody: messageError,
  errorFor: finalError,
  headers: { rate: messageRate },
  usageShape: messageUsage,
  stream: {
    contentType: 'text/event-stream; charset=utf-8',
    keepAlive: event('ping', { type: 'ping' }),
    pending: Buffer.from(': settlement pending\n\n'),
    end: event('message_stop', { type: 'message_stop' }),
    error: (error) => event('error', messageError(error)),
  },
}

/** The same request for a token count: it need not state a cap on output. */
export const countedMessages: Endpoint = {
  ...messages,
  read: (body, sent) => messagesCall(readMessagesRequest(body, sent?.headers ?? {}, 1), sent?.text ?? body.text),
}

function messagesCall(request: MessagesRequest, sent: Buffer): EndpointRequest {
  return nativeOrChat({ ...request, text: sent }, messageByChat(request, sent), {
    speaks: speaksMessages,
    natively: (deployment) => messagesTerms(request, deployment, providerOf(deployment.provider) as MessagesProvider),
  })
}

function speaksMessages(deployment: Deployment): boolean {
  const { messages: native } = providerOf(deployment.provider)
  if (deployment.mockResponse !== null || native === undefined) return false
  return native.isSpokenBy?.(knownName(deployment)) ?? true
}

/** Anthropic's `fallbacks` are objects that name a model of its own; a list of names is LiteLLM's. */
function isFallbackOfClaudes(name: string, value: unknown): boolean {
  return name === 'fallbacks' && Array.isArray(value) && value.some((one) => typeof one === 'object')
}
