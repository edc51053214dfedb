/** What a request in Gemini's dialect may cost on a deployment whose provider speaks it, and how it is sent and read back. */
import type { GenerateProvider, GenerateRequest } from '../../../providers/generate.ts'
import type { Terms } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { estimateVisited, inTokensOf } from '../../metering/estimate.ts'
import { sureTexts } from '../../metering/sure-texts.ts'
import { refuseOnNative } from '../refuse-on-native.ts'
import { visitGenerateInput } from './generate-input.ts'

/** @throws {TollgateError} 400 for a member that can't be metered. */
export function generateTerms(request: GenerateRequest, deployment: Deployment, provider: GenerateProvider): Terms {
  const { generate } = provider
  const { upstreamModel: model, apiBase, defaults } = deployment
  const { json, choices, outputCap, mayDraw, speaks } = generate.ask(request.json, model, defaults)
  refuseOnNative(generate.refuses(json), request.strangers, deployment, provider.label)
  const facts = provider.model(model, json)
  const { cuts } = request
  const mediaTokens = generate.mediaTokens(model)
  const visit = (visitor: Parameters<typeof visitGenerateInput>[1]) => visitGenerateInput(json, visitor)
  return {
    provider,
    facts,
    estimate: inTokensOf(
      facts,
      estimateVisited(visit, (part) => mediaTokens(part, cuts)),
      (json.tools ?? null) !== null,
    ),
    requestBytes: request.text.length + cuts.bytes + JSON.stringify(defaults).length,
    choices,
    outputCap,
    leastOutput: generate.leastOutput(json),
    isCapBelieved: !mayDraw && (request.strangers.length === 0 || apiBase === null),
    tools: generate.serverTools(json, model),
    mayServe: [],
    serviceTier: typeof json.serviceTier === 'string' ? json.serviceTier : null,
    asksForAudio: speaks,
    asksForLongCache: false,
    inputTexts: () => sureTexts(visit),
    prepare(sending) {
      const asked = generate.prepare({ ...sending, request, model, apiBase, defaults })
      return { ...asked, body: cuts.restore(asked.body) }
    },
    readWhole: (body) => generate.readResponse(body, request.model, model),
    readStream: () => generate.readStream(request.model, model),
    mock: null,
  }
}
