/**
 * A chat completion request as a Messages request. One walk both translates and says what can't be expressed, so that what is
 * refused and what is sent can't differ. Left out without a word, because it changes nothing in the response: what speaks to OpenAI's
 * storage and caches (`store: false`, `metadata`, `prompt_cache_key`), and parameters that state their default.
 */
import { createHash } from 'node:crypto'
import { asObject } from '../json.ts'
import type { Refusal } from '../provider.ts'
import { readConversation } from './messages.ts'
import { type ClaudeModel, claudeModel } from './models.ts'
import type { Block, PartContext, Refuse } from './parts.ts'
import { readThinking, type Thinking } from './thinking.ts'
import { FORM_TOOL, type Form, readForm, type ToolMembers, toolMembers } from './tools.ts'

type Members = Readonly<Record<string, unknown>>

export interface Translation {
  body: Record<string, unknown>
  betas: ReadonlySet<string>
  refusals: readonly Refusal[]
}

/** A cap has to be sent; this one where neither caller nor model has one. */
const DEFAULT_CAP = 32_000
const CACHE_HINTS_MAX = 4

/** `cap`: the most output tokens to ask for; null for the caller's own, or the model's. */
export function translateRequest(json: Members, modelName: string, cap: number | null): Translation {
  const refusals: Refusal[] = []
  const refuse: Refuse = (param, message, droppable = false) => refusals.push({ param, message, droppable })
  const context: PartContext = { refuse, betas: new Set() }
  const model = claudeModel(modelName)
  const most = model.maxOutputTokens
  const own = Math.min(ownCap(json) ?? most ?? DEFAULT_CAP, most ?? Number.MAX_SAFE_INTEGER)
  const maxTokens = Math.min(cap ?? own, most ?? Number.MAX_SAFE_INTEGER)
  const form = readForm(json, model, context)
  const conversation = readConversation(json.messages, model, context)
  const tools = withForm(toolMembers(json, model, context), form, json)
  const thinking = settle(
    readThinking(json, model, { cap: maxTokens, isOurs: maxTokens < own }, refuse),
    tools.tool_choice,
    conversation.lostThoughts,
  )
  const isSilent = conversation.messages.every(({ content }) => content.length === 0)
  if (isSilent && refusals.every(({ param }) => !param.startsWith('messages['))) {
    refuse('messages', 'Claude has to be asked something, and no message says anything.')
  }
  if (conversation.messages.at(-1)?.role === 'assistant') refusePrefill(model, thinking, conversation.messages, refuse)
  const system = form.instruction === undefined ? conversation.system : [...conversation.system, told(form.instruction)]
  refuseUnknown(json, refuse)
  const body = {
    model: modelName,
    max_tokens: maxTokens,
    ...(system.length > 0 ? { system } : {}),
    messages: conversation.messages,
    ...tools,
    ...sampling(json, model, thinking, refuse),
    ...(thinking.thinking === undefined ? {} : { thinking: thinking.thinking }),
    ...outputConfig(json, form, thinking),
    ...others(json, context),
    ...(json.stream === true ? { stream: true } : {}),
  }
  limitCacheHints(body)
  return { body, betas: context.betas, refusals }
}

function told(text: string): Block {
  return { type: 'text', text }
}

/** The larger of the two members, should both stand there. */
function ownCap(json: Members): number | null {
  const caps = [json.max_completion_tokens, json.max_tokens].filter((cap) => typeof cap === 'number')
  return caps.length === 0 ? null : Math.max(...caps)
}

/** With a form tool, the response is its call: it has to be made, unless the caller's own tools may come first. */
function withForm(tools: ToolMembers, form: Form, json: Members): ToolMembers {
  if (form.tool === undefined) return tools
  const own = tools.tools ?? []
  const mayCallOthers = own.length > 0 && tools.tool_choice?.type !== 'none'
  const choice = mayCallOthers ? { type: 'any' } : { type: 'tool', name: FORM_TOOL }
  const single = json.parallel_tool_calls === false || !mayCallOthers ? { disable_parallel_tool_use: true } : {}
  return { tools: [...own, form.tool], tool_choice: { ...choice, ...single } }
}

/** What is demanded wins over what is hinted: a forced tool, or a turn whose thoughts are lost, runs without manual thinking. */
function settle(thinking: Thinking, choice: unknown, lostThoughts: boolean): Thinking {
  const type = asObject(choice)?.type
  const isForced = type === 'any' || type === 'tool'
  return thinking.manual && (isForced || lostThoughts) ? { manual: false, on: false } : thinking
}

/** A response begun by the caller is continued by older models only; one that server tools paused may always go on. */
function refusePrefill(
  model: ClaudeModel,
  thinking: Thinking,
  messages: readonly { content: readonly Block[] }[],
  refuse: Refuse,
): void {
  const isPaused = messages.at(-1)?.content.some(({ type }) => type === 'server_tool_use' || type === 'mcp_tool_use')
  if (isPaused === true || (model.prefill && !thinking.on)) return
  refuse('messages', "This model can't continue an answer that was begun. End with a message of the user or of a tool.")
}

function sampling(json: Members, model: ClaudeModel, thinking: Thinking, refuse: Refuse): Record<string, unknown> {
  const sent: Record<string, unknown> = {}
  const { temperature, top_p: topP, top_k: topK } = json
  const blocked = model.rejectsSampling ? 'This model' : thinking.on ? 'A model that thinks' : null
  for (const [key, value, preset] of [
    ['temperature', temperature, 1],
    ['top_p', topP, 1],
    ['top_k', topK, null],
  ] as const) {
    if (value === undefined || value === null) continue
    if (blocked === null) sent[key] = key === 'temperature' && typeof value === 'number' ? Math.min(1, value) : value
    else if (value !== preset) refuse(key, `${blocked} takes no ${key}.`, true)
  }
  if ('temperature' in sent && 'top_p' in sent && model.oneSamplingParameter) {
    if (topP === 1) delete sent.top_p
    else if (temperature === 1) delete sent.temperature
    else {
      refuse('top_p', 'This model takes temperature or top_p, not both.', true)
      delete sent.top_p
    }
  }
  return sent
}

function outputConfig(json: Members, form: Form, thinking: Thinking): Record<string, unknown> {
  const config = {
    ...asObject(json.output_config),
    ...(form.format === undefined ? {} : { format: form.format }),
    ...(thinking.effort === undefined ? {} : { effort: thinking.effort }),
  }
  return Object.keys(config).length > 0 ? { output_config: config } : {}
}

/** Anthropic's own members, sent as they are. */
const OWN = ['cache_control', 'context_management', 'mcp_servers', 'container']
/** Beta features by the member that needs them. */
const OWN_BETAS: readonly (readonly [RegExp, string])[] = [
  [/^mcp_servers /, 'mcp-client-2025-11-20'],
  [/^context_management .*"compact_2026/, 'compact-2026-01-12'],
  [/^context_management .*"clear_/, 'context-management-2025-06-27'],
]

function others(json: Members, { refuse, betas }: PartContext): Record<string, unknown> {
  const sent: Record<string, unknown> = {}
  for (const key of OWN) {
    if (json[key] === undefined || json[key] === null) continue
    sent[key] = json[key]
    for (const [pattern, beta] of OWN_BETAS) if (pattern.test(`${key} ${JSON.stringify(json[key])}`)) betas.add(beta)
  }
  const stops: unknown[] = (Array.isArray(json.stop) ? json.stop : [json.stop]).filter((stop) => stop !== '')
  const words = stops.filter((stop) => typeof stop === 'string')
  if (words.some((stop) => stop.trim() === '')) {
    refuse('stop', 'Claude takes no stop sequence of white space alone.', true)
  } else if (words.length > 0) sent.stop_sequences = words
  const user = [json.user, json.safety_identifier].find((value) => typeof value === 'string' && value !== '')
  if (typeof user === 'string') {
    if (user.length <= USER_MAX) sent.metadata = { user_id: opaque(user) }
    else refuse('user', `Anthropic takes a user of up to ${USER_MAX} characters.`, true)
  }
  const tier = serviceTier(json.service_tier, refuse)
  if (tier !== null) sent.service_tier = tier
  return sent
}

const USER_MAX = 256
const ADDRESS_OR_NUMBER = /\S@\S+\.[a-z]{2}|^\+?[\d\s().-]{7,}$/i

/** Anthropic returns 400 for what looks like an e-mail address or a telephone number, and asks for a hash of it. */
function opaque(user: string): string {
  return ADDRESS_OR_NUMBER.test(user) ? createHash('sha256').update(user).digest('hex') : user
}

function serviceTier(asked: unknown, refuse: Refuse): string | null {
  if (asked === undefined || asked === null) return null
  if (asked === 'auto') return 'auto'
  if (asked === 'default' || asked === 'standard_only') return 'standard_only'
  refuse('service_tier', "Anthropic candidates the service tiers 'auto' and 'default'.", true)
  return null
}

/** Members that have a place in the translation, or mean nothing to a provider. */
const KNOWN = new Set([
  ...['model', 'messages', 'stream', 'stream_options', 'max_tokens', 'max_completion_tokens', 'stop', 'user'],
  ...['temperature', 'top_p', 'top_k', 'tools', 'tool_choice', 'parallel_tool_calls', 'functions', 'function_call'],
  ...['response_format', 'reasoning_effort', 'thinking', 'output_config', 'service_tier', 'safety_identifier'],
  ...['web_search_options', 'metadata', 'prompt_cache_key', 'prompt_cache_retention', ...OWN],
  ...['power_level', 'task_type', 'privacy_required'],
])
/** What a member may say without asking for anything. */
const NEUTRAL: Readonly<Record<string, (value: unknown) => boolean>> = {
  n: (value) => value === 1,
  store: (value) => value === false,
  logprobs: (value) => value === false,
  top_logprobs: (value) => value === 0,
  logit_bias: (value) => Object.keys(asObject(value) ?? { x: 1 }).length === 0,
  presence_penalty: (value) => value === 0,
  frequency_penalty: (value) => value === 0,
  verbosity: (value) => value === 'medium',
  modalities: (value) => Array.isArray(value) && value.every((entry) => entry === 'text'),
}

function refuseUnknown(json: Members, refuse: Refuse): void {
  for (const [key, value] of Object.entries(json)) {
    if (KNOWN.has(key) || value === null || value === undefined) continue
    const isNeutral = Object.hasOwn(NEUTRAL, key) ? NEUTRAL[key] : undefined
    if (isNeutral?.(value) !== true) refuse(key, `Claude can't honour '${key}'. Leave it out.`, true)
  }
}

/** Anthropic takes four hints; of more the last ones stay, which cover the most. */
function limitCacheHints(body: Record<string, unknown>): void {
  const lists = [body.tools, body.system, ...(body.messages as { content: unknown }[]).map(({ content }) => content)]
  const places = lists.flatMap((list) =>
    Array.isArray(list)
      ? list.flatMap((entry, at) =>
          asObject(entry)?.cache_control === undefined ? [] : [{ list: list as unknown[], at }],
        )
      : [],
  )
  const room = CACHE_HINTS_MAX - (body.cache_control === undefined ? 0 : 1)
  for (const { list, at } of places.slice(0, Math.max(0, places.length - room))) {
    const { cache_control: _, ...rest } = list[at] as Members
    list[at] = rest
  }
}
