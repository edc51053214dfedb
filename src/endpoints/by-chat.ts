/** Serves a request of another dialect on a provider that doesn't speak it: it asks a chat completion and translates the response back. */
import { type CutTexts, noCuts } from '../../providers/cut-texts.ts'
import { objectMembers } from '../../providers/json-members.ts'
import type { ChatRequest, ProviderResponse, StreamReader } from '../../providers/provider.ts'
import { chatProviderOf } from '../../providers/registry.ts'
import type { EndpointRequest, ReadContext, RemoteMedia, Terms } from '../call/endpoint.ts'
import type { Deployment } from '../config/config.ts'
import { chatTerms } from './chat-completions/chat-terms.ts'
import { readChatRequest } from './chat-completions/read-request.ts'
import { remoteMedia } from './chat-completions/remote-media.ts'

type Json = Readonly<Record<string, unknown>>

/** The chat completion that a deployment is asked for. @throws {TollgateError} 400, naming what can't be translated. */
export type Translation = (deployment: Deployment) => ChatRequest

/** What comes back, in the words of the dialect that was asked in. */
export interface Words {
  whole(response: ProviderResponse, context: ReadContext): ProviderResponse
  stream(reader: StreamReader, context: ReadContext): StreamReader
}

/** A request that is asked by chat. */
export interface AskedByChat {
  /** The request as it was sent. */
  text: Buffer
  /** The media that were cut out of it; the translation has marks in their places. */
  cuts?: CutTexts
  translate: Translation
  words: Words
}

/** @param chatOf the chat completion for a deployment: the same object where the same is asked, which is read once. */
export function translationBy(chatOf: (deployment: Deployment) => Json, cuts?: CutTexts): Translation {
  const read = new Map<Json, ChatRequest>()
  return (deployment) => {
    const chat = chatOf(deployment)
    const known = read.get(chat) ?? chatRequestOf(chat, cuts)
    read.set(chat, known)
    return known
  }
}

/**
 * A request that is translated once for all deployments, and once more without the effort for those that do not reason.
 * @param toChat the chat completion that asks the same.
 */
export function askedByChat(request: Pick<AskedByChat, 'text' | 'cuts' | 'words'>, toChat: () => Json): AskedByChat {
  const chat = once(toChat)
  const calm = once(() => {
    const { reasoning_effort: _, ...rest } = chat()
    return rest
  })
  const chatOf = (deployment: Deployment) =>
    chat().reasoning_effort === undefined || takesEffort(chat(), deployment) ? chat() : calm()
  return { ...request, translate: translationBy(chatOf, request.cuts) }
}

/** @throws {TollgateError} 400, naming what can't be translated, or what the provider can't honour. */
export function termsByChat(asked: AskedByChat, deployment: Deployment): Terms {
  return inWords(asked, chatTerms(asked.translate(deployment), deployment))
}

/** Media that are fetched here for deployments that fetch nothing. @param remake makes the same request with what was fetched. */
export function mediaByChat(
  asked: AskedByChat,
  deployments: readonly Deployment[],
  remake: (termsOn: EndpointRequest['termsOn']) => EndpointRequest,
): RemoteMedia | null {
  const inline = deployments.flatMap(({ provider, mockResponse }) =>
    mockResponse === null ? (chatProviderOf(provider).chat.mustInline ?? []) : [],
  )
  const [first] = deployments
  if (inline.length === 0 || first === undefined) return null
  const mustInline = (url: string) => inline.some((must) => must(url))
  return remoteMedia(asked.translate(first), mustInline, ({ json: { messages } }) =>
    remake((deployment) => {
      const filled = chatRequestOf({ ...asked.translate(deployment).json, messages }, asked.cuts)
      return inWords(asked, chatTerms(filled, deployment))
    }),
  )
}

function chatRequestOf(json: Json, cuts: CutTexts = noCuts()): ChatRequest {
  const text = Buffer.from(JSON.stringify(json))
  return readChatRequest({ text, members: objectMembers(text), json, cuts })
}

/** Clients ask every model to think. A model that doesn't would refuse the request, so that member is left out. */
export function takesEffort(chat: Json, { provider: name, upstreamModel }: Deployment): boolean {
  const provider = chatProviderOf(name)
  return (
    !refuses(chat, { provider: name, upstreamModel }, 'reasoning_effort') &&
    provider.model(upstreamModel, chat).hiddenReasoning
  )
}

/** True if the model can't honour a member of it. */
export function refuses(
  chat: Json,
  { provider, upstreamModel }: Pick<Deployment, 'provider' | 'upstreamModel'>,
  member: string,
): boolean {
  return chatProviderOf(provider)
    .chat.refuses(chat, upstreamModel)
    .some(({ param }) => param === member)
}

function inWords({ text, words }: AskedByChat, terms: Terms): Terms {
  return {
    ...terms,
    requestBytes: Math.max(terms.requestBytes, text.length),
    readWhole(body, context) {
      const response = terms.readWhole(body, context)
      return response === null || !('body' in response) ? response : words.whole(response, context)
    },
    readStream: (context) => words.stream(terms.readStream(context), context),
  }
}

/** The value is made once, when it is first needed. */
export function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | null = null
  return () => {
    made ??= { value: make() }
    return made.value
  }
}
