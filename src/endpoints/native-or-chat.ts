/**
 * Serves a dialect that some providers speak: they get the request as it was sent, others get a chat completion that asks the same. The
 * end of such a response always states the usage.
 */
import type { EndpointRequest, Terms } from '../call/endpoint.ts'
import type { Deployment } from '../config/config.ts'
import { type AskedByChat, mediaByChat, termsByChat } from './by-chat.ts'
import { mentionsUsageQuestion } from './chat-completions/chat-completions.ts'

export interface Dialect {
  speaks(deployment: Deployment): boolean
  /** The terms on a provider that speaks the dialect. */
  natively(deployment: Deployment): Terms
  /** What the hold covers besides, where a chat completion asks the same. @default nothing */
  byChat?(terms: Terms): Terms
}

type Asked = Pick<EndpointRequest, 'text' | 'model' | 'stream' | 'memory'> & { json: Readonly<Record<string, unknown>> }

export function nativeOrChat(
  { text, model, stream, json, ...rest }: Asked,
  asked: AskedByChat,
  { speaks, natively, byChat = (terms) => terms }: Dialect,
): EndpointRequest {
  const call = (termsOfOthers: EndpointRequest['termsOn']): EndpointRequest => ({
    text,
    model,
    stream,
    includeUsage: true,
    ...(rest.memory === undefined ? {} : { memory: rest.memory }),
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
