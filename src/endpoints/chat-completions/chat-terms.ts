/** What a chat completion may cost on a deployment, and how it is sent to the provider and read back. */

import type { CutTexts } from '../../../providers/cut-texts.ts'
import { mock } from '../../../providers/mock.ts'
import type { ChatProvider, ChatRequest, Refusal } from '../../../providers/provider.ts'
import { findProvider } from '../../../providers/registry.ts'
import type { Terms } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { knownName } from '../../config/listing-of.ts'
import { TollgateError } from '../../http/errors.ts'
import type { MediaTokens } from '../../metering/estimate.ts'
import { largestOf } from '../../metering/largest-media.ts'
import { asksForLongCache } from '../long-cache.ts'
import { refuseOtherThanChat } from '../model-kinds.ts'
import { estimateInput, inputTexts } from './estimate-input.ts'
import { choicesOf, outputCapOf } from './read-request.ts'
import { judgeStrangers, type StrangeMembers } from './strange-members.ts'

type Json = Readonly<Record<string, unknown>>

/** @throws {TollgateError} 400 for a member that the provider can't honour and that may not be left out. */
export function chatTerms(request: ChatRequest, deployment: Deployment): Terms {
  const provider = chatProviderFor(deployment)
  const { chat } = provider
  const model = knownName(deployment)
  const asked = { ...deployment.defaults, ...request.json }
  const strangers = judgeStrangers(
    request,
    { taken: chat.takes(deployment.apiBase), label: provider.label },
    deployment,
  )
  const drop = [...strangers.drop, ...droppedMembers(provider, deployment, chat.refuses(asked, model))]
  const effective = drop.length === 0 ? asked : without(asked, drop)
  const facts = provider.model(model, effective)
  const mayServe = chat.mayServe(effective)
  const { cuts } = request
  const mediaTokens = largestOf([model, ...mayServe].map((name) => mediaRule(chat, name, cuts)))
  const estimate = estimateInput(effective, facts, mediaTokens, chat.unpackId, strangers.letThrough)
  const choices = choicesOf(effective)
  const inputTokens = estimate.tokens + estimate.expected.media
  return {
    provider,
    facts,
    estimate,
    requestBytes: request.text.length + cuts.bytes + JSON.stringify(deployment.defaults).length,
    choices,
    outputCap: outputCapOf(effective),
    leastOutput: chat.leastOutput?.(effective, model) ?? 1,
    // No cap is known to bound what an image takes.
    isCapBelieved: strangers.letThrough.length === 0 && !asksFor(effective, 'image') && chat.draws?.(model) !== true,
    tools: chat.serverTools(effective, model),
    mayServe,
    serviceTier: typeof effective.service_tier === 'string' ? effective.service_tier : null,
    asksForAudio: asksFor(effective, 'audio'),
    asksForLongCache: asksForLongCache(effective),
    inputTexts: () => inputTexts(request.json, chat.unpackId, strangers.letThrough),
    ...wire(request, deployment, provider, { drop, dropAt: strangers.dropAt, cuts, choices, inputTokens }),
  }
}

function asksFor({ modalities }: Json, kind: 'image' | 'audio'): boolean {
  return Array.isArray(modalities) && modalities.includes(kind)
}

interface Known extends Pick<StrangeMembers, 'drop' | 'dropAt'> {
  cuts: CutTexts
  choices: number
  inputTokens: number
}

type Wire = Pick<Terms, 'prepare' | 'readWhole' | 'readStream' | 'mock'>

/** Sends to the provider and reads what comes back. Where no provider is called, the mock's reader reads the mock's response. */
function wire(
  request: ChatRequest,
  { upstreamModel: model, apiBase, defaults, mockResponse }: Deployment,
  { chat }: ChatProvider,
  { drop, dropAt, cuts, choices, inputTokens }: Known,
): Wire {
  const reader = mockResponse === null ? chat : mock.chat
  const context = { request, model, choices }
  return {
    prepare({ asksUsage, ...sending }) {
      const asked = chat.prepare({ ...sending, request, model, apiBase, defaults, drop, dropAt, askUsage: asksUsage })
      return { ...asked, body: cuts.restore(asked.body) }
    },
    readWhole: (body, call) => reader.readResponse(body, { ...context, ...call }),
    readStream: (call) => reader.readStream({ ...context, ...call }),
    mock:
      mockResponse === null
        ? null
        : ({ outputCap, ...call }) =>
            mock.respond({
              ...call,
              model: request.model,
              text: mockResponse,
              inputTokens,
              choices,
              outputCap: outputCap ?? request.outputCap,
            }),
  }
}

function mediaRule(chat: ChatProvider['chat'], name: string, cuts: CutTexts): MediaTokens {
  const size = chat.mediaTokens(name)
  return (part) => size(part, cuts)
}

/** @throws {TollgateError} 400 where it serves no chat completions. */
function chatProviderFor(deployment: Deployment): ChatProvider {
  const { provider: name } = deployment
  refuseOtherThanChat(deployment)
  const provider = findProvider(name)
  if (provider !== null && servesChat(provider)) return provider
  throw new TollgateError(
    400,
    'unsupported_endpoint',
    `${provider?.label ?? name} serves no chat completions. Ask for another model.`,
    { param: 'model' },
  )
}

function servesChat(provider: NonNullable<ReturnType<typeof findProvider>>): provider is ChatProvider {
  return provider.chat !== undefined
}

/** @throws {TollgateError} 400, naming what the provider can't honour and the operator does not let us leave out. */
function droppedMembers({ chat }: ChatProvider, deployment: Deployment, refusals: readonly Refusal[]): string[] {
  // The operator knows best what an own server takes. Members that have to be translated still can't be sent.
  const allowed = chat.takes(deployment.apiBase) === null ? [] : deployment.allowedParams
  const refused = refusals.filter(({ param, droppable }) => !(droppable && allowed.includes(param)))
  for (const { param, message, droppable } of refused) {
    if (droppable && deployment.dropParams) continue
    throw new TollgateError(400, 'unsupported_parameter', message, { param })
  }
  return refused.map(({ param }) => param)
}

function without(json: Json, members: readonly string[]): Record<string, unknown> {
  // A set, because a caller may send as many unknown members as fit into a body.
  const out = new Set(members)
  return Object.fromEntries(Object.entries(json).filter(([key]) => !out.has(key)))
}
