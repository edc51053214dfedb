/**
 * What of a request Gemini has no word for. A member is named by itself and may be left out where the operator allows it; a place in
 * the conversation is always refused, since nobody knows what it would mean without.
 *
 * Some members are left out without a word: they tell the provider about the caller or its caches, and no response depends on them.
 * So are the hints `image_url.detail`, `cache_control` and `web_search_options`' own members, and `strict` of a function: Gemini has no
 * such choice.
 */

import { asObject } from '../json.ts'
import type { Refusal } from '../provider.ts'
import { readArguments } from './contents.ts'
import { LABEL } from './errors.ts'
import { generation, takesPenalties, thinkingConfig, thinkingOf } from './models.ts'
import { readPart, type Speaker, textOf } from './parts.ts'
import { ownThinking } from './thinking.ts'
import { isKnownChoice, unknownTool } from './tools.ts'

type Json = Readonly<Record<string, unknown>>

/** No response depends on them. */
export const NEUTRAL: ReadonlySet<string> = new Set([
  'user',
  'metadata',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'power_level',
  'task_type',
  'privacy_required',
])

const HONOURED: ReadonlySet<string> = new Set([
  'model',
  'messages',
  'stream',
  'stream_options',
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'top_k',
  'n',
  'stop',
  'seed',
  'presence_penalty',
  'frequency_penalty',
  'logprobs',
  'top_logprobs',
  'response_format',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'reasoning_effort',
  'modalities',
  'web_search_options',
  'safety_settings',
  'service_tier',
  'extra_body',
])

const CHOICES_MAX = 8
const STOPS_MAX = 5
const INT32 = 2 ** 31

export function googleRefuses(json: Json, model: string): Refusal[] {
  return [...unknownMembers(json), ...badValues(json, model), ...badTools(json, model), ...badMessages(json, model)]
}

function drop(param: string, why: string): Refusal {
  return { param, message: `${why} Leave out '${param}', or ask the operator for drop_params: true.`, droppable: true }
}

function never(param: string, message: string): Refusal {
  return { param, message, droppable: false }
}

/** Values that say the same as leaving the member out. */
const SAYS_NOTHING: Readonly<Record<string, (value: unknown) => boolean>> = {
  store: (value) => value === false,
  verbosity: (value) => value === 'medium',
  logit_bias: (value) => Object.keys(asObject(value) ?? { something: 1 }).length === 0,
  functions: (value) => Array.isArray(value) && value.length === 0,
}

function unknownMembers(json: Json): Refusal[] {
  return Object.keys(json).flatMap((name) => {
    const value = json[name]
    if (value === undefined || value === null || HONOURED.has(name) || NEUTRAL.has(name)) return []
    if (Object.hasOwn(SAYS_NOTHING, name) && SAYS_NOTHING[name]?.(value) === true) return []
    if (name === 'functions' || name === 'function_call')
      return [never(name, `'${name}' is the old form of tools. Send "tools" and "tool_choice" instead.`)]
    return [drop(name, `${LABEL} has nothing like '${name.slice(0, 64)}'.`)]
  })
}

function badValues(json: Json, model: string): Refusal[] {
  const refused: Refusal[] = []
  const number = (name: string) => (typeof json[name] === 'number' ? (json[name] as number) : null)
  if ((number('n') ?? 1) > CHOICES_MAX)
    refused.push(never('n', `${LABEL} makes up to ${CHOICES_MAX} choices. Ask for fewer.`))
  if ((number('temperature') ?? 0) > 2) refused.push(drop('temperature', `${LABEL} takes a temperature from 0 to 2.`))
  for (const name of ['presence_penalty', 'frequency_penalty']) {
    if ((number(name) ?? 0) !== 0 && !takesPenalties(model)) refused.push(drop(name, 'This model takes no penalties.'))
  }
  const seed = number('seed')
  if (seed !== null && !(Number.isInteger(seed) && seed >= -INT32 && seed < INT32))
    refused.push(drop('seed', `${LABEL} takes a seed of 32 bits.`))
  if (Array.isArray(json.stop) && json.stop.length > STOPS_MAX)
    refused.push(drop('stop', `${LABEL} takes up to ${STOPS_MAX} stop sequences.`))
  const tier = json.service_tier
  if (tier !== undefined && tier !== null && !TIERS.has(textOf(tier)))
    refused.push(drop('service_tier', `${LABEL} has the tiers default, flex and priority.`))
  if (Array.isArray(json.modalities) && json.modalities.some((kind) => kind !== 'text' && kind !== 'image'))
    refused.push(drop('modalities', 'Only text and images can be asked for here.'))
  return [...refused, ...badThinking(json, model), ...badExtras(json)]
}

const TIERS: ReadonlySet<string> = new Set(['auto', 'default', 'standard', 'flex', 'priority'])

function badThinking(json: Json, model: string): Refusal[] {
  const effort = json.reasoning_effort
  if (effort === undefined || effort === null) return []
  if (ownThinking(json) !== null && thinkingOf(model) !== 'none')
    return [drop('reasoning_effort', "It can't be set together with extra_body.google.thinking_config.")]
  if (typeof effort === 'string' && thinkingConfig(model, effort) !== null) return []
  return [drop('reasoning_effort', `This model has no reasoning effort '${textOf(effort).slice(0, 32)}'.`)]
}

/** Caches and files lie in the operator's account, which is every caller's here. */
const EXTRAS: ReadonlySet<string> = new Set(['thinking_config', 'safety_settings'])

function badExtras(json: Json): Refusal[] {
  const body = asObject(json.extra_body)
  if (body === null) return json.extra_body == null ? [] : [never('extra_body', '"extra_body" must be an object.')]
  const names = [
    ...Object.keys(body).filter((name) => name !== 'google'),
    ...Object.keys(asObject(body.google) ?? {}).flatMap((name) => (EXTRAS.has(name) ? [] : `google.${name}`)),
  ]
  return names.map((name) =>
    never(`extra_body.${name.slice(0, 64)}`, `'extra_body.${name.slice(0, 64)}' is not taken here.`),
  )
}

function badTools(json: Json, model: string): Refusal[] {
  const refused: Refusal[] = []
  const stray = unknownTool(json)
  if (stray >= 0) refused.push(never(`tools[${stray}]`, `${LABEL} knows no such tool. Send functions.`))
  if (!isKnownChoice(json.tool_choice)) refused.push(never('tool_choice', `${LABEL} knows no such choice of tools.`))
  const hasTools = Array.isArray(json.tools) && json.tools.length > 0
  if (hasTools && json.parallel_tool_calls === false)
    refused.push(drop('parallel_tool_calls', `${LABEL} can't be told to make one call at a time.`))
  const format = asObject(json.response_format)?.type
  if (format !== undefined && !['text', 'json_object', 'json_schema'].includes(textOf(format)))
    refused.push(drop('response_format', `${LABEL} has no such format.`))
  else if (hasTools && generation(model) < 3 && (format === 'json_object' || format === 'json_schema'))
    refused.push(drop('response_format', "This model can't be held to JSON while it has tools."))
  return refused
}

const SPEAKERS: Readonly<Record<string, Speaker>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  assistant: 'assistant',
  tool: 'tool',
}

function badMessages(json: Json, model: string): Refusal[] {
  const called = new Set<string>()
  return (Array.isArray(json.messages) ? json.messages : []).flatMap((value, index) => {
    const message = asObject(value) ?? {}
    const place = `messages[${index}]`
    const role = typeof message.role === 'string' ? message.role : ''
    const speaker = Object.hasOwn(SPEAKERS, role) ? SPEAKERS[role] : undefined
    if (speaker === undefined)
      return [never(`${place}.role`, `${LABEL} can't be sent a message of role '${role.slice(0, 32)}'.`)]
    const refused = badContent(message.content, speaker, place, model)
    if (speaker === 'assistant') for (const refusal of badAssistant(message, place, called)) refused.push(refusal)
    if (speaker === 'tool' && !called.has(textOf(message.tool_call_id)))
      refused.push(
        never(`${place}.tool_call_id`, `${place} answers no tool call before it, and ${LABEL} needs to know which.`),
      )
    return refused
  })
}

function badContent(content: unknown, speaker: Speaker, place: string, model: string): Refusal[] {
  if (content === undefined || content === null || typeof content === 'string') return []
  if (!Array.isArray(content))
    return [never(`${place}.content`, `"${place}.content" must be a string or an array of parts.`)]
  return content.flatMap((part, index) => {
    const read = readPart(part, speaker)
    const where = `${place}.content[${index}]`
    if ('refusal' in read) return [never(where, read.refusal)]
    const isMedia = read.part !== null && !('text' in read.part)
    if (isMedia && speaker === 'tool' && generation(model) < 3)
      return [never(where, 'This model takes tool results of text only.')]
    return []
  })
}

function badAssistant(message: Json, place: string, called: Set<string>): Refusal[] {
  const refused: Refusal[] = []
  if (message.function_call !== undefined && message.function_call !== null)
    refused.push(
      never(`${place}.function_call`, `'function_call' is the old form of tool calls. Send "tool_calls" instead.`),
    )
  if (message.audio !== undefined && message.audio !== null)
    refused.push(never(`${place}.audio`, 'An earlier answer in sound lies with the provider that made it.'))
  const calls: unknown[] = Array.isArray(message.tool_calls) ? message.tool_calls : []
  for (const [index, value] of calls.entries()) {
    const call = asObject(value)
    const body = asObject(call?.function)
    const where = `${place}.tool_calls[${index}]`
    called.add(textOf(call?.id))
    if (typeof body?.name !== 'string') refused.push(never(where, `${LABEL} can be sent calls of functions only.`))
    else if (readArguments(body.arguments) === null)
      refused.push(
        never(`${where}.function.arguments`, `The arguments of this call are no JSON object, which ${LABEL} demands.`),
      )
  }
  return refused
}
