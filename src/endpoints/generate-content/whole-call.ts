/** What the methods of Gemini's surface share that another endpoint serves: no stream, and a response in Gemini's words. */
import { type Shape, showPath, strangersIn } from '../../../providers/known-members/shape.ts'
import type { ProviderResponse } from '../../../providers/provider.ts'
import type { EndpointRequest, SentRequest } from '../../call/endpoint.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { unsupported } from '../read-members.ts'

type Json = Readonly<Record<string, unknown>>

/** @param termsOn those of the endpoint that serves it. @param inWords says its response as Gemini would. */
export function wholeCall(
  model: string,
  { body, sent }: { body: JsonObject; sent: SentRequest | undefined },
  termsOn: EndpointRequest['termsOn'],
  inWords: (response: ProviderResponse) => ProviderResponse,
): EndpointRequest {
  return {
    text: sent?.text ?? body.text,
    model,
    stream: false,
    includeUsage: false,
    powerLevel: undefined,
    mentionsUsageQuestion: () => false,
    remoteMedia: () => null,
    termsOn(deployment) {
      const terms = termsOn(deployment)
      return {
        ...terms,
        readWhole(bytes, context) {
          const response = terms.readWhole(bytes, context)
          return response === null || !('body' in response) ? response : inWords(response)
        },
      }
    },
  }
}

/** @throws {TollgateError} 400, naming a member that nobody knows. */
export function refuseStrangers(json: Json, shape: Shape): void {
  const [stranger] = strangersIn(json, shape)
  if (stranger !== undefined)
    throw unsupported(showPath(stranger.path), `'${showPath(stranger.path)}' is not supported here. Leave it out.`)
}
