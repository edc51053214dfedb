/** What a response may cost on a deployment whose provider speaks Responses, and how it is sent and read back. */
import type { Stranger } from '../../../providers/known-members/shape.ts'
import type { ResponsesProvider, ResponsesRequest } from '../../../providers/responses.ts'
import type { Terms } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { estimateVisited, inTokensOf } from '../../metering/estimate.ts'
import { largestOf } from '../../metering/largest-media.ts'
import type { InputVisitor } from '../../metering/request-input.ts'
import { sureTexts } from '../../metering/sure-texts.ts'
import { judgeStrangers, type StrangeMembers } from '../chat-completions/strange-members.ts'
import { withoutStrangers } from '../chat-completions/without-strangers.ts'
import { asksForLongCache } from '../long-cache.ts'
import { unsupported } from '../read-members.ts'
import { visitResponseInput } from './response-input.ts'

type Json = Readonly<Record<string, unknown>>

/** @throws {TollgateError} 400 for a member that can't be metered. */
export function responsesTerms(request: ResponsesRequest, deployment: Deployment, provider: ResponsesProvider): Terms {
  const { responses } = provider
  const { upstreamModel: model, apiBase, defaults } = deployment
  const strange = judge(request, deployment, provider)
  const asked = { ...responses.defaultsOf(defaults), ...request.json }
  const drop = [...strange.drop, ...refusedMembers(asked, deployment, provider)]
  const json = without(asked, drop)
  const facts = provider.model(model, json)
  const mayServe = responses.mayServe(json)
  const { cuts } = request
  const rules = [model, ...mayServe].map((name) => responses.mediaTokens(name))
  const mediaTokens = largestOf(rules.map((rule) => (part: unknown) => rule(part, cuts)))
  const visit = (visitor: InputVisitor) => visitWith(json, strange.letThrough, visitor)
  const cap = json.max_output_tokens
  return {
    provider,
    facts,
    estimate: inTokensOf(
      facts,
      estimateVisited(visit, mediaTokens),
      Array.isArray(json.tools) && json.tools.length > 0,
    ),
    requestBytes: request.text.length + cuts.bytes + JSON.stringify(defaults).length,
    choices: 1,
    outputCap: typeof cap === 'number' ? cap : null,
    leastOutput: responses.leastOutput(json),
    isCapBelieved: strange.letThrough.length === 0,
    tools: responses.serverTools(json, model),
    mayServe,
    serviceTier: typeof json.service_tier === 'string' ? json.service_tier : null,
    asksForAudio: false,
    asksForLongCache: asksForLongCache(json),
    inputTexts: () => sureTexts(visit),
    prepare(sending) {
      const call = { ...sending, request, model, apiBase, defaults, drop, dropAt: strange.dropAt }
      const prepared = responses.prepare(call)
      return { ...prepared, body: cuts.restore(prepared.body) }
    },
    readWhole: (body) => responses.readResponse(body, request.model),
    readStream: () => responses.readStream(request.model),
    mock: null,
  }
}

/** Unknown members that are let through may become input, so each counts once. */
function visitWith(json: Json, letThrough: readonly Stranger[], visitor: InputVisitor): void {
  visitResponseInput(withoutStrangers(json, letThrough), visitor)
  for (const { path, value } of letThrough) visitor.text(JSON.stringify({ [String(path.at(-1))]: value }), true)
}

/** @throws {TollgateError} 400, naming the first refused member. */
function judge({ strangers }: ResponsesRequest, deployment: Deployment, provider: ResponsesProvider): StrangeMembers {
  const { takes, passesBelow } = provider.responses
  const below = passesBelow(deployment.apiBase)
  const unknown = strangers.filter(({ path: [top, ...rest] }) => rest.length === 0 || !below.includes(String(top)))
  return judgeStrangers({ strangers: unknown }, { taken: takes, label: provider.label }, deployment)
}

/** @throws {TollgateError} 400, naming what can't be honoured and the operator does not let us leave out. */
function refusedMembers(
  json: Json,
  { upstreamModel, dropParams, allowedParams, defaults }: Deployment,
  provider: ResponsesProvider,
) {
  const refused = provider.responses
    .refuses(json, upstreamModel, defaults.store === true)
    .filter(({ param, droppable }) => !(droppable && allowedParams.includes(param)))
  for (const { param, message, droppable } of refused) if (!droppable || !dropParams) throw unsupported(param, message)
  return refused.map(({ param }) => param)
}

function without(json: Json, members: readonly string[]): Json {
  const out = new Set(members)
  return out.size === 0 ? json : Object.fromEntries(Object.entries(json).filter(([key]) => !out.has(key)))
}
