/** A message on a provider that doesn't speak Messages: asked as a chat completion, and its response translated back. */
import { objectMembers } from '../../../providers/json-members.ts'
import type { MessagesRequest } from '../../../providers/messages.ts'
import type { ChatRequest } from '../../../providers/provider.ts'
import { chatProviderOf } from '../../../providers/registry.ts'
import type { EndpointRequest, RemoteMedia, Terms } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { chatTerms } from '../chat-completions/chat-terms.ts'
import { readChatRequest } from '../chat-completions/read-request.ts'
import { remoteMedia } from '../chat-completions/remote-media.ts'
import { toChat } from './translated/to-chat.ts'
import { translateResponse } from './translated/translate-response.ts'
import { translateStream } from './translated/translate-stream.ts'

type Json = Readonly<Record<string, unknown>>

/** The chat completion that a deployment is asked for. @throws {TollgateError} 400, naming what can't be translated. */
export type Translation = (deployment: Deployment) => ChatRequest

/** Done once, however many deployments there are to try; for those that do not reason, once more without the effort. */
export function translationOf(request: MessagesRequest): Translation {
  const chat = once(() => toChat(request.json))
  const asked = once(() => chatRequestOf(chat()))
  const calm = once(() => {
    const { reasoning_effort: _, ...rest } = chat()
    return chatRequestOf(rest)
  })
  return (deployment) => (chat().reasoning_effort === undefined || takesEffort(chat(), deployment) ? asked() : calm())
}

/** @throws {TollgateError} 400, naming what can't be translated, or what the provider can't honour. */
export function translatedTerms(request: MessagesRequest, translate: Translation, deployment: Deployment): Terms {
  return inMessages(request, chatTerms(translate(deployment), deployment))
}

/** What has to be fetched for those that fetch nothing themselves. @param remake the same request with what was fetched. */
export function translatedMedia(
  request: MessagesRequest,
  translate: Translation,
  deployments: readonly Deployment[],
  remake: (termsOn: EndpointRequest['termsOn']) => EndpointRequest,
): RemoteMedia | null {
  const inline = deployments.flatMap(({ provider, mockResponse }) =>
    mockResponse === null ? (chatProviderOf(provider).chat.mustInline ?? []) : [],
  )
  const [first] = deployments
  if (inline.length === 0 || first === undefined) return null
  const mustInline = (url: string) => inline.some((must) => must(url))
  return remoteMedia(translate(first), mustInline, ({ json: { messages } }) =>
    remake((deployment) => {
      const asked = chatRequestOf({ ...translate(deployment).json, messages })
      return inMessages(request, chatTerms(asked, deployment))
    }),
  )
}

function chatRequestOf(json: Json): ChatRequest {
  const text = Buffer.from(JSON.stringify(json))
  return readChatRequest({ text, members: objectMembers(text), json })
}

/** Clients ask every model to think; the ones that don't would refuse the request for that. */
function takesEffort(chat: Json, { provider: name, upstreamModel }: Deployment): boolean {
  const provider = chatProviderOf(name)
  const refused = provider.chat.refuses(chat, upstreamModel).some(({ param }) => param === 'reasoning_effort')
  return !refused && provider.model(upstreamModel, chat).hiddenReasoning
}

function inMessages(request: MessagesRequest, terms: Terms): Terms {
  return {
    ...terms,
    requestBytes: Math.max(terms.requestBytes, request.text.length),
    readWhole(body, context) {
      const answer = terms.readWhole(body, context)
      return answer === null || !('body' in answer) ? answer : translateResponse(answer, request.model, context.callId)
    },
    readStream: (context) => translateStream(terms.readStream(context), request.model, context.callId),
  }
}

function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | null = null
  return () => {
    made ??= { value: make() }
    return made.value
  }
}
