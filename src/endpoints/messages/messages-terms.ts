/** What a message may cost on a deployment whose provider speaks Messages, and how it is sent and read back. */
import type { MessagesProvider, MessagesRequest } from '../../../providers/messages.ts'
import type { Terms } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { estimateVisited, inTokensOf } from '../../metering/estimate.ts'
import { largestOf } from '../../metering/largest-media.ts'
import { sureTexts } from '../../metering/sure-texts.ts'
import { asksForLongCache } from '../long-cache.ts'
import { refuseOnNative } from '../refuse-on-native.ts'
import { visitMessageInput } from './message-input.ts'

/** @throws {TollgateError} 400 for a member that can't be metered. */
export function messagesTerms(request: MessagesRequest, deployment: Deployment, provider: MessagesProvider): Terms {
  const { messages } = provider
  const { upstreamModel: model, apiBase, defaults } = deployment
  const json = { ...defaults, ...request.json }
  refuseOnNative(messages.refuses(json), request.strangers, deployment, provider.label)
  const facts = provider.model(model, json)
  const mayServe = messages.mayServe(json)
  const { cuts } = request
  const rules = [model, ...mayServe].map((name) => messages.mediaTokens(name))
  const mediaTokens = largestOf(rules.map((rule) => (block: unknown) => rule(block, cuts)))
  const base = estimateVisited((visitor) => visitMessageInput(json, visitor), mediaTokens)
  return {
    provider,
    facts,
    estimate: inTokensOf(facts, base, Array.isArray(json.tools) && json.tools.length > 0),
    requestBytes: request.text.length + cuts.bytes + JSON.stringify(defaults).length,
    choices: 1,
    outputCap: Math.max(1, request.outputCap),
    leastOutput: messages.leastOutput(json),
    isCapBelieved: request.strangers.length === 0 || apiBase === null,
    tools: messages.serverTools(json),
    mayServe,
    serviceTier: messages.serviceTier(json),
    asksForAudio: false,
    asksForLongCache: asksForLongCache(json),
    inputTexts: () => sureTexts((visitor) => visitMessageInput(json, visitor)),
    prepare(sending) {
      const asked = messages.prepare({ ...sending, request, model, apiBase, defaults })
      return { ...asked, body: cuts.restore(asked.body) }
    },
    readWhole: (body) => messages.readResponse(body, request.model),
    readStream: () => messages.readStream(request.model),
    mock: null,
  }
}
