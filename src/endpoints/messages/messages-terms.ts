/** What a message may cost on a deployment whose provider speaks Messages, and how it gets there and back. */
import { noCuts } from '../../../providers/cut-texts.ts'
import { type Stranger, showPath } from '../../../providers/known-members/shape.ts'
import type { MessagesProvider, MessagesRequest } from '../../../providers/messages.ts'
import type { Terms } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { estimateVisited, inTokensOf } from '../../metering/estimate.ts'
import { largestOf } from '../../metering/largest-media.ts'
import { sureTexts } from '../../metering/sure-texts.ts'
import { isAllowed } from '../chat-completions/strange-members.ts'
import { asksForLongCache } from '../long-cache.ts'
import { unsupported } from '../read-members.ts'
import { visitMessageInput } from './message-input.ts'

/** @throws {TollgateError} 400 for what can't be metered. */
export function messagesTerms(request: MessagesRequest, deployment: Deployment, provider: MessagesProvider): Terms {
  const { messages } = provider
  const { upstreamModel: model, apiBase, defaults } = deployment
  const json = { ...defaults, ...request.json }
  refuse(request, json, deployment, provider)
  const facts = provider.model(model, json)
  const mayServe = messages.mayServe(json)
  // What PDFs may inflate to is shared by all of a request.
  const cuts = noCuts()
  const rules = [model, ...mayServe].map((name) => messages.mediaTokens(name))
  const mediaTokens = largestOf(rules.map((rule) => (block: unknown) => rule(block, cuts)))
  const base = estimateVisited((visitor) => visitMessageInput(json, visitor), mediaTokens)
  return {
    provider,
    facts,
    estimate: inTokensOf(facts, base, Array.isArray(json.tools) && json.tools.length > 0),
    requestBytes: request.text.length + JSON.stringify(defaults).length,
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
    prepare({ apiKey, extraHeaders, outputCap }) {
      const asked = messages.prepare({ request, model, apiKey, apiBase, extraHeaders, defaults, outputCap })
      return { ...asked, body: [asked.body] }
    },
    readWhole: (body) => messages.readResponse(body, request.model),
    readStream: () => messages.readStream(request.model),
    mock: null,
  }
}

function refuse(
  { strangers }: MessagesRequest,
  json: Readonly<Record<string, unknown>>,
  { apiBase, allowedParams }: Deployment,
  { messages, label }: MessagesProvider,
): void {
  const [refusal] = messages.refuses(json)
  if (refusal !== undefined) throw unsupported(refusal.param, refusal.message)
  // Anthropic's own host is known to read `max_tokens` whatever else it is told; of another server that is for the operator to say.
  if (apiBase === null) return
  const stranger = strangers.find(({ path }) => !isAllowed(path, allowedParams))
  if (stranger !== undefined) refuseStranger(stranger, label)
}

function refuseStranger({ path }: Stranger, label: string): never {
  const shown = showPath(path)
  const message = `'${shown}' is no parameter that ${label} is known to take. Leave it out, or ask the operator for allowed_openai_params: ['${String(path[0])}'].`
  throw unsupported(shown, message)
}
