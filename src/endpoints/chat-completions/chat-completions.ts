/** POST /v1/chat/completions, in OpenAI's dialect, whichever provider serves it. */
import type { ChatRequest } from '../../../providers/provider.ts'
import { chatProviderOf } from '../../../providers/registry.ts'
import { dataFrame } from '../../../providers/sse-frames.ts'
import { usageRecord } from '../../../providers/usage.ts'
import type { Endpoint, EndpointRequest } from '../../call/endpoint.ts'
import { errorBody } from '../../http/errors.ts'
import { finalError } from '../final-error.ts'
import { chatTerms } from './chat-terms.ts'
import { chatMedia } from './media-texts.ts'
import { readChatRequest } from './read-request.ts'
import { remoteMedia } from './remote-media.ts'

export const chatCompletions: Endpoint = {
  name: 'chat.completions',
  serviceType: 'llm_inference',
  mediaOf: chatMedia,
  read: (body, sent) => chatCall(readChatRequest(body), sent?.text ?? body.text),
  errorBody,
  errorFor: finalError,
  usageShape: usageRecord,
  stream: {
    contentType: 'text/event-stream; charset=utf-8',
    keepAlive: Buffer.from(': keep-alive\n\n'),
    pending: Buffer.from(': settlement pending\n\n'),
    end: dataFrame('[DONE]'),
    error: (error) => dataFrame(JSON.stringify(errorBody(error))),
  },
}

function chatCall(request: ChatRequest, sent: Buffer): EndpointRequest {
  const { model, stream, includeUsage, json } = request
  return {
    text: sent,
    model,
    stream,
    includeUsage,
    powerLevel: json.power_level,
    mentionsUsageQuestion: () => mentionsUsageQuestion(json),
    remoteMedia(deployments) {
      const mustFetch = deployments.flatMap(({ provider, mockResponse }) =>
        mockResponse === null ? (chatProviderOf(provider).chat.mustInline ?? []) : [],
      )
      if (mustFetch.length === 0) return null
      return remoteMedia(
        request,
        (url) => mustFetch.some((must) => must(url)),
        (filled) => chatCall(filled, sent),
      )
    },
    termsOn: (deployment) => chatTerms(request, deployment),
  }
}

/**
 * A server's complaint about `stream_options` may be about words of the caller's, even about words it reads out of an address
 * (`stream%5Foptions`) or a page.
 */
export function mentionsUsageQuestion(json: Readonly<Record<string, unknown>>): boolean {
  const { stream_options: _, ...rest } = json
  return /stream\W{0,9}(?:\w{2})?_?options|include\W{0,9}(?:\w{2})?_?usage/i.test(JSON.stringify(rest))
}
