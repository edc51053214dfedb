/**
 * A request of a dialect that some providers speak: they get the bytes, others get a chat completion that asks the same. What ends such
 * a response states its usage, to everybody.
 */
import type { EndpointRequest, SentRequest, Terms } from '../call/endpoint.ts'
import type { Deployment } from '../config/config.ts'
import { type JsonObject, parseJsonObject } from '../http/json-object.ts'
import { type AskedByChat, mediaByChat, termsByChat } from './by-chat.ts'
import { mentionsUsageQuestion } from './chat-completions/chat-completions.ts'

export interface Dialect {
  speaks(deployment: Deployment): boolean
  /** Where it is spoken. */
  natively(deployment: Deployment): Terms
  /** Of a chat completion that asks the same, what else is held for. @default nothing */
  byChat?(terms: Terms): Terms
}

type Asked = Pick<EndpointRequest, 'text' | 'model' | 'stream'> & { json: Readonly<Record<string, unknown>> }

export function nativeOrChat(
  { text, model, stream, json }: Asked,
  asked: AskedByChat,
  { speaks, natively, byChat = (terms) => terms }: Dialect,
): EndpointRequest {
  const call = (termsOfOthers: EndpointRequest['termsOn']): EndpointRequest => ({
    text,
    model,
    stream,
    includeUsage: true,
    powerLevel: json.power_level,
    mentionsUsageQuestion: () => mentionsUsageQuestion(json),
    remoteMedia: (deployments) =>
      mediaByChat(
        asked,
        deployments.filter((deployment) => !speaks(deployment)),
        call,
      ),
    termsOn: (deployment) => (speaks(deployment) ? natively(deployment) : byChat(termsOfOthers(deployment))),
  })
  return call((deployment) => termsByChat(asked, deployment))
}

/** Media are cut out of parts as chat completions have them, and of none of another dialect's. */
export function wholeBody(body: JsonObject, sent: SentRequest | undefined): JsonObject {
  return body.cuts === undefined || sent === undefined ? body : parseJsonObject(sent.text)
}
