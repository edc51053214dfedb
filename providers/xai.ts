/**
 * xAI: OpenAI's dialect, with reasoning left out of `completion_tokens` and, on most responses, its own bill in ticks. A wrong key
 * is a 400, errors are plain strings.
 */
import type { CutTexts } from './cut-texts.ts'
import type { MaybeImagesProvider } from './images.ts'
import { asObject } from './json.ts'
import { exactly, type MediaSize, unknownMedia } from './media/media-size.ts'
import { droppable, isSet, openAiDialect, PLAIN_MODEL } from './openai-dialect.ts'
import type { ErrorMembers, OpenAiFacts } from './openai-facts.ts'
import { openAiImages } from './openai-images/capability.ts'
import { count } from './openai-usage.ts'
import type { ChatProvider, ModelFacts, ProviderErrorKind, Refusal, ServerTool } from './provider.ts'
import type { MaybeResponsesProvider } from './responses.ts'
import { statedTicks } from './stated-cost.ts'

type Json = Readonly<Record<string, unknown>>

const LABEL = 'xAI'

const FACTS: OpenAiFacts = {
  name: 'xai',
  label: LABEL,
  baseUrl: 'https://api.x.ai/v1',
  keyVariables: ['XAI_API_KEY'],
  bareName: /^grok-/,
  domain: 'x.ai',
  priceList: 'x-ai',
  model: xaiModel,
  mediaTokens: () => xaiMediaTokens,
  capMember: () => 'either',
  serverTools,
  refuses,
  usage: { reasoningOutside: true },
  readCost: (usage) => statedTicks(usage.cost_in_usd_ticks),
  readToolUses(usage): Record<string, number> {
    const sources = count(usage.num_sources_used)
    return sources === null || sources === 0 ? {} : { live_search: sources }
  },
  errorKind,
  responses: { billedTools: [], boundsTools: false, stores: true, encryptsThoughts: true, leastOutput: 1 },
}

export const xai: ChatProvider & MaybeResponsesProvider & MaybeImagesProvider = {
  ...openAiDialect(FACTS),
  images: openAiImages(FACTS, {
    lacks: ['background', 'moderation', 'output_compression', 'output_format', 'quality', 'size', 'style'],
  }),
}

/** All but the first generations reason, and most do it out of sight. */
const PLAIN = /^grok-(?:2|beta|vision)|^grok-3(?!-mini)|non-reasoning/

function xaiModel(name: string): ModelFacts {
  return {
    ...PLAIN_MODEL,
    hiddenReasoning: !PLAIN.test(name),
    ...(/fast|code|mini/.test(name) ? { topSpeed: 400 } : {}),
    // A system prompt of its own stands before every conversation, a longer one for code, and more where tools are defined.
    hiddenInput: /code/.test(name) ? { always: 215, withTools: 40 } : { always: 145, withTools: 70 },
  }
}

/** Tiles of 448 pixels at 256 tokens, at most six and a thumbnail. */
const IMAGE_TOKENS_MAX = 7 * 256

export function xaiMediaTokens(part: unknown, cuts?: CutTexts): MediaSize {
  return asObject(part)?.type === 'image_url' ? exactly(IMAGE_TOKENS_MAX) : unknownMedia(part, cuts)
}

/** What a live search may read when the request does not say. */
const SOURCES_DEFAULT = 20

function serverTools(json: Json): ServerTool[] {
  const tools: ServerTool[] = []
  const search = asObject(json.search_parameters)
  if (search !== null && search.mode !== 'off') {
    tools.push({
      kind: 'live_search',
      uses: count(search.max_search_results) ?? SOURCES_DEFAULT,
      addsInput: true,
      billedByUse: false,
    })
  }
  for (const tool of Array.isArray(json.tools) ? json.tools : []) {
    const type = asObject(tool)?.type
    if (typeof type === 'string' && type !== 'function')
      tools.push({ kind: type, uses: 1, addsInput: true, billedByUse: false })
  }
  return tools
}

/** Its response is fetched elsewhere, where nobody meters it. */
const LATER: Refusal = {
  param: 'deferred',
  message: "Calls that run in the background are not metered here. Leave 'deferred' out.",
  droppable: false,
}

/** Which take `reasoning_effort`; the others refuse it. */
const TAKES_EFFORT = /^grok-3-mini|^grok-4\.(?:[3-9]|[1-9]\d)(?!\d)|multi-agent|^grok-[5-9]/

function refuses(json: Json, model: string): Refusal[] {
  const refused: string[] = []
  if (!PLAIN.test(model)) {
    // Refused even where they are 0.
    refused.push(...['presence_penalty', 'frequency_penalty', 'stop'].filter((key) => isSet(json, key)))
  }
  if (isSet(json, 'reasoning_effort') && !TAKES_EFFORT.test(model)) refused.push('reasoning_effort')
  if (isSet(json, 'logit_bias')) refused.push('logit_bias')
  return [...refused.map((param) => droppable(param, LABEL)), ...(isSet(json, 'deferred', false) ? [LATER] : [])]
}

function errorKind(status: number | null, { message }: ErrorMembers): ProviderErrorKind | null {
  const text = message ?? ''
  if (status === 400 && /api key/i.test(text)) return 'auth'
  // The same words come as 429 and as 403.
  if (/available credits|spending limit|purchase more credits/i.test(text)) return 'quota'
  if (status === 400 && /model .{0,300} (?:does not exist|not found)/i.test(text)) return 'model_not_found'
  return null
}
