/**
 * OpenRouter: OpenAI's dialect over many providers, with its own bill in `usage.cost`, which tokens do not explain: search fees,
 * second models, parsed files, another model than the one named.
 */

import { claudeMediaTokens } from './anthropic/media.ts'
import type { MaybeCompletionsProvider } from './completions.ts'
import type { CutTexts } from './cut-texts.ts'
import type { MaybeEmbeddingsProvider } from './embeddings.ts'
import { googleMediaTokens } from './google/media.ts'
import { googleModel } from './google/models.ts'
import type { MaybeImagesProvider } from './images.ts'
import { asObject } from './json.ts'
import { dataOf, type MediaSize, pagesOf, unknownMedia, upTo } from './media/media-size.ts'
import { kindOfName } from './model-kind.ts'
import { removeAt } from './openai-body.ts'
import { openAiCompletions } from './openai-completions.ts'
import { droppable, isSet, openAiDialect, PLAIN_MODEL } from './openai-dialect.ts'
import { openAiEmbeddings } from './openai-embeddings.ts'
import type { Added, ErrorMembers, OpenAiFacts } from './openai-facts.ts'
import { openAiMediaTokens, openAiModel } from './openai-models.ts'
import { count } from './openai-usage.ts'
import { drawsAtGoogle, drawsAtOpenAi, routedImages, writesToo } from './openrouter-images.ts'
import type { ChatProvider, ModelFacts, ProviderErrorKind, Refusal, ServerTool } from './provider.ts'
import type { MaybeResponsesProvider } from './responses.ts'
import { statedCost } from './stated-cost.ts'
import { xaiMediaTokens } from './xai.ts'

type Json = Readonly<Record<string, unknown>>

const LABEL = 'OpenRouter'

const FACTS: OpenAiFacts = {
  name: 'openrouter',
  label: LABEL,
  baseUrl: 'https://openrouter.ai/api/v1',
  keyVariables: ['OPENROUTER_API_KEY'],
  domain: 'openrouter.ai',
  billsAbandoned: true,
  isRouter: true,
  model: routedModel,
  mediaTokens,
  capMember: () => 'either',
  serverTools,
  adds: (call) => ({ ...priceBound(call), ...reasoningBound(call) }),
  leastOutput: (json) => (reasoningBudget(json) === null ? 1 : LEAST_REASONING / 0.8),
  refuses,
  mayServe: otherModels,
  readCost,
  readToolUses(usage): Record<string, number> {
    const used = asObject(usage.server_tool_use_details) ?? asObject(usage.server_tool_use)
    const searches = count(used?.web_search_requests)
    return searches === null || searches === 0 ? {} : { web_search: searches }
  },
  errorKind,
  listedAs,
  unpriced,
  draws: writesToo,
  responses: { billedTools: [], boundsTools: false, stores: false, encryptsThoughts: false, leastOutput: 1 },
}

export const openrouter: ChatProvider &
  MaybeResponsesProvider &
  MaybeEmbeddingsProvider &
  MaybeCompletionsProvider &
  MaybeImagesProvider = {
  ...openAiDialect(FACTS),
  completions: openAiCompletions(FACTS),
  embeddings: openAiEmbeddings(FACTS, { adds: priceBound }),
  images: routedImages(FACTS, priceBound),
}

/**
 * Its list of prices has no embedders, and of models that draw the price of text alone, a tenth of what an image's tokens cost. It takes
 * what who made them takes, and states what that was. What images of OpenAI's cost there is in no list: such a model has no price.
 */
function listedAs(model: string): { provider: string; model: string } | null {
  const vendor = model.slice(0, Math.max(0, model.indexOf('/')))
  if (drawsAtOpenAi(model)) return null
  const isMakers = kindOfName(model) === 'embedding' ? vendor === 'openai' || vendor === 'google' : drawsAtGoogle(model)
  return isMakers ? { provider: vendor, model: baseName(model) } : { provider: 'openrouter', model }
}

function unpriced(model: string): string | null {
  if (!drawsAtOpenAi(model)) return null
  return `What the images of '${model.slice(0, 100)}' cost is in no list of prices.`
}

/**
 * What it takes, and where its account's own key at the provider paid (`is_byok`, its cost is then its fee), what that key was
 * charged: both are the operator's money.
 */
function readCost(usage: Json): bigint | null {
  const own = statedCost(usage.cost)
  if (own === null || usage.is_byok !== true) return own
  return own + (statedCost(asObject(usage.cost_details)?.upstream_inference_cost) ?? 0n)
}

/** Reasoning is billed and not, or only in outline, shown. */
const HIDES_REASONING = /^(?:x-ai\/grok-4|google\/gemini-(?:2\.5|[3-9])|anthropic\/claude-(?!3-)|openrouter\/)/

function routedModel(name: string, json: Json = {}): ModelFacts {
  const hides =
    asObject(json.reasoning)?.exclude === true ||
    json.include_reasoning === false ||
    [name, ...otherModels(json)].some((model) => HIDES_REASONING.test(model) || hidesAtOpenAi(model))
  const own = name.startsWith('openai/') ? openAiModel(baseName(name)) : PLAIN_MODEL
  const most = drawsAtGoogle(name) ? { maxOutputTokens: googleModel(baseName(name)).maxOutputTokens } : {}
  return {
    ...own,
    ...most,
    hiddenReasoning: hides,
    ...(INPUT_FACTS[name.slice(0, Math.max(0, name.indexOf('/')))] ?? UNKNOWN_INPUT),
  }
}

function hidesAtOpenAi(name: string): boolean {
  return name.startsWith('openai/') && openAiModel(baseName(name)).hiddenReasoning
}

/** By who made the model: how it cuts text, and the prompts it puts around a conversation, its own and those for tools. */
const INPUT_FACTS: Readonly<Record<string, Pick<ModelFacts, 'tokensPercent' | 'hiddenInput'>>> = {
  openai: { tokensPercent: 100, hiddenInput: { always: 0, withTools: 0 } },
  anthropic: { tokensPercent: 110, hiddenInput: { always: 32, withTools: 350 } },
  google: { tokensPercent: 105, hiddenInput: { always: 2, withTools: 40 } },
  'x-ai': { tokensPercent: 100, hiddenInput: { always: 145, withTools: 70 } },
}
const UNKNOWN_INPUT = { tokensPercent: 110, hiddenInput: { always: 40, withTools: 200 } }

/** `openai/gpt-4o:online` is gpt-4o at OpenAI. */
function baseName(name: string): string {
  return name.slice(name.indexOf('/') + 1).replace(/:[\w-]+$/, '')
}

/**
 * It chooses who serves, at whose price: nobody dearer than the quote, whatever the caller prefers. The operator's own bound comes
 * before the quote, the caller's only where it is lower; a price of 0 bounds nothing, for such a model has no other.
 */
function priceBound({ maxPrice, request, defaults, drop, dropAt }: Omit<Added, 'outputCap'>): Record<string, string> {
  if (maxPrice === null) return {}
  const preset = asObject(defaults.provider)
  const own = drop.includes('provider') ? null : structuredClone(asObject(request.json.provider))
  for (const [top, ...path] of dropAt) if (top === 'provider') removeAt(own, path)
  const operators = asObject(preset?.max_price)
  const callers = asObject(own?.max_price)
  const bounds: Record<string, unknown> = { ...operators, ...callers }
  for (const [name, quoted] of [
    ['prompt', maxPrice.input],
    ['completion', maxPrice.output],
  ] as const) {
    const bound = priceOf(operators?.[name]) ?? (quoted > 0n ? Number(quoted) / 1e9 : null)
    const asked = priceOf(callers?.[name])
    if (bound !== null) bounds[name] = asked === null ? bound : Math.min(asked, bound)
  }
  if (Object.keys(bounds).length === 0) return {}
  return { provider: JSON.stringify({ ...(own ?? preset), max_price: bounds }) }
}

/** Tokens of `reasoning.max_tokens`: the least that Claude takes, by whoever serves it. */
const LEAST_REASONING = 1_024

function reasoningBudget(json: Json): number | null {
  const budget = asObject(json.reasoning)?.max_tokens
  return typeof budget === 'number' ? budget : null
}

/** A cap of ours leaves a fifth of itself for the response: a budget above the cap is refused. */
function reasoningBound({ outputCap, request: { json }, defaults, drop, dropAt }: Added): Record<string, string> {
  if (outputCap === null || drop.includes('reasoning') || dropAt.some(([top]) => top === 'reasoning')) return {}
  const asked = { ...defaults, ...json }
  const budget = reasoningBudget(asked)
  const room = Math.max(LEAST_REASONING, Math.floor(outputCap * 0.8))
  if (budget === null || budget <= room) return {}
  return { reasoning: JSON.stringify({ ...asObject(asked.reasoning), max_tokens: room }) }
}

/** Dollars per million tokens, a number or its text. */
function priceOf(value: unknown): number | null {
  const price = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof price === 'number' && Number.isFinite(price) && price >= 0 ? price : null
}

/** By the rules of who made the model; nobody's images are fetched here. */
const RULES: Readonly<Record<string, (name: string) => (part: unknown, cuts?: CutTexts) => MediaSize>> = {
  openai: openAiMediaTokens,
  anthropic: claudeMediaTokens,
  google: (name) => googleMediaTokens(name, () => false),
  'x-ai': () => xaiMediaTokens,
}

/** It may turn a document into text before whoever serves sees it: a page as full of text as any, and its picture. */
const PAGE_TOKENS_MAX = 3_000 + 4_784

function mediaTokens(model: string): (part: unknown, cuts?: CutTexts) => MediaSize {
  const vendor = model.slice(0, Math.max(0, model.indexOf('/')))
  const rule = Object.hasOwn(RULES, vendor) ? RULES[vendor]!(baseName(model)) : unknownMedia
  return (part, cuts) => {
    const size = rule(part, cuts)
    const pages = documentPages(part, cuts)
    if (pages === null || vendor === 'openai' || vendor === 'anthropic') return size
    return { ...upTo(pages * PAGE_TOKENS_MAX, size.expected), least: size.expected }
  }
}

/** Null where it is no document, or its pages can't be counted. */
function documentPages(value: unknown, cuts?: CutTexts): number | null {
  const part = asObject(value)
  const data = part?.type === 'file' ? asObject(part.file)?.file_data : undefined
  return typeof data === 'string' ? pagesOf(dataOf(data), cuts).bound : null
}

function otherModels(json: Json): string[] {
  return (Array.isArray(json.models) ? json.models : []).filter((name) => typeof name === 'string')
}

const SEARCHES = /:online(?:$|:)|^perplexity\//

/** Plugins, `:online`, tools of its own, and models that search by themselves. Their fees are in its bill. */
function serverTools(json: Json, model: string): ServerTool[] {
  const kinds = new Set<string>()
  const models = [model, ...otherModels(json)]
  if (models.some((name) => SEARCHES.test(name)) || asObject(json.web_search_options) !== null) kinds.add('web_search')
  for (const plugin of Array.isArray(json.plugins) ? json.plugins : []) {
    const id = asObject(plugin)?.id
    if (typeof id === 'string') kinds.add(id === 'web' ? 'web_search' : id.replaceAll('-', '_'))
  }
  for (const tool of Array.isArray(json.tools) ? json.tools : []) {
    const type = asObject(tool)?.type
    if (typeof type === 'string' && type !== 'function') kinds.add(type.replace(/^openrouter:/, ''))
  }
  return [...kinds].map((kind) => ({ kind, uses: 1, addsInput: true, billedByUse: false }))
}

/** It returns one choice, whatever is asked for. */
function refuses(json: Json): Refusal[] {
  return isSet(json, 'n', 1) ? [droppable('n', LABEL)] : []
}

function errorKind(status: number | null, { code, message }: ErrorMembers): ProviderErrorKind | null {
  const text = message ?? ''
  if (status === 400 && /is not a valid model/i.test(text)) return 'model_not_found'
  if (status === 403 && /moderation|flagged/i.test(`${code ?? ''} ${text}`)) return 'content_filter'
  return null
}
