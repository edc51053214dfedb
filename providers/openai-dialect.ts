/**
 * A provider that speaks OpenAI's dialect: a row of facts, and code only where it truly differs. Bytes pass through both ways;
 * single members are changed where they must be.
 */

import { bareId } from './carried-id.ts'
import { asObject } from './json.ts'
import { additionsOf } from './known-members/additions.ts'
import { isOwnHost, prepareOpenAi } from './openai-body.ts'
import { readOpenAiError } from './openai-errors.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import { readOpenAiResponse } from './openai-response.ts'
import { responsesOf } from './openai-responses/capability.ts'
import { readOpenAiStream } from './openai-stream.ts'
import { unknownTier } from './openai-tiers.ts'
import type { ChatCapability, ChatProvider, ModelFacts, Refusal, ServerTool } from './provider.ts'
import type { MaybeResponsesProvider } from './responses.ts'

type Json = Readonly<Record<string, unknown>>

/**
 * Tools by a type of their own, which are neither the caller's functions nor texts of a form of his: the server that responds runs them, also
 * behind an `api_base`, whatever this API takes itself.
 */
export function typedTools(json: Json): ServerTool[] {
  const tools = Array.isArray(json.tools) ? json.tools : []
  const types = tools.map((tool) => asObject(tool)?.type)
  return types
    .filter((type) => typeof type === 'string' && type !== 'function' && type !== 'custom')
    .map((kind) => ({ kind: String(kind), uses: 1, addsInput: true, billedByUse: false }))
}

/** What a call of a model sends where nothing special is known: the newest vocabulary, no limit, nothing hidden. */
export const PLAIN_MODEL: ModelFacts = {
  maxOutputTokens: null,
  hiddenReasoning: false,
  encoding: 'o200k_base',
  countPercent: 100,
  tokensPercent: 100,
  hiddenInput: { always: 0, withTools: 0 },
}

export function openAiDialect(dialect: OpenAiFacts): ChatProvider & MaybeResponsesProvider {
  return {
    name: dialect.name,
    label: dialect.label,
    baseUrl: dialect.baseUrl,
    keyVariables: dialect.keyVariables,
    bareName: dialect.bareName ?? null,
    domain: dialect.domain,
    ...(dialect.baseVariable === undefined ? {} : { baseVariable: dialect.baseVariable }),
    ...(dialect.alsoNamed === undefined ? {} : { alsoNamed: dialect.alsoNamed }),
    ...(dialect.versionVariable === undefined ? {} : { versionVariable: dialect.versionVariable }),
    ...(dialect.isOwnServer === undefined ? {} : { isOwnServer: dialect.isOwnServer }),
    listedAs: dialect.listedAs ?? ((model) => ({ provider: dialect.priceList ?? dialect.name, model })),
    billsAbandoned: dialect.billsAbandoned ?? false,
    isRouter: dialect.isRouter ?? false,
    ...(dialect.modelLists === undefined ? {} : { modelLists: dialect.modelLists }),
    statesCost: dialect.readCost !== undefined,
    model: dialect.model,
    tierMultiplier: dialect.tierMultiplier ?? (() => 1_000_000n),
    pricedAs: dialect.pricedAs ?? ((asked, served) => served ?? asked),
    unpriced: dialect.unpriced ?? (() => null),
    readError: (status, headers, body) => readOpenAiError(dialect, status, headers, body),
    chat: chatOf(dialect),
    ...(dialect.responses === undefined ? {} : { responses: responsesOf(dialect, dialect.responses) }),
  }
}

function chatOf(dialect: OpenAiFacts): ChatCapability {
  const nothing = () => []
  const { own, foreign } = additionsOf(dialect.name)
  return {
    mustInline: null,
    mediaTokens: dialect.mediaTokens,
    unpackId: dialect.unpackId ?? ((id) => ({ id: bareId(id), carried: '' })),
    serverTools: dialect.serverTools ?? nothing,
    takes: (apiBase) => (isOwnHost(dialect, apiBase) ? own : foreign),
    refuses: (json, model) => [...(dialect.refuses?.(json, model) ?? []), ...unknownTier(json, dialect.label)],
    mayServe: dialect.mayServe ?? nothing,
    ...(dialect.leastOutput === undefined ? {} : { leastOutput: dialect.leastOutput }),
    ...(dialect.draws === undefined ? {} : { draws: dialect.draws }),
    prepare: (call) => prepareOpenAi(dialect, call),
    readResponse: (body, { request }) => readOpenAiResponse(dialect, body, request.model),
    readStream: (context) => readOpenAiStream(dialect, context.choices, context.request.model),
  }
}

/** Whether a member says anything: null and what OpenAI's defaults say are as good as left out. */
export function isSet(json: Json, key: string, otherwise?: unknown): boolean {
  const value = json[key]
  return value !== undefined && value !== null && value !== otherwise
}

/** A member that can be left out where the operator allows it. */
export function droppable(param: string, label: string): Refusal {
  const message = `${label} can't honour '${param}' for this model. Leave it out, or ask the operator for drop_params: true.`
  return { param, message, droppable: true }
}
