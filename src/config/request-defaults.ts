/** Request parameters written into a deployment: the defaults for callers who send none. */

import type { JsonValue } from './config.ts'
import type { Field, NumberRule, Section } from './field.ts'

const COUNT: NumberRule = { what: 'a whole number, 1 or more', example: '1024', least: 1, whole: true }
const WHOLE: NumberRule = { what: 'a whole number', example: '1', whole: true }
const RATIO: NumberRule = { what: 'a number', example: '0.7' }

const NUMBERS: Readonly<Record<string, NumberRule>> = {
  max_tokens: COUNT,
  max_completion_tokens: COUNT,
  n: { ...COUNT, example: '1' },
  top_k: WHOLE,
  seed: WHOLE,
  top_logprobs: WHOLE,
  temperature: RATIO,
  top_p: RATIO,
  presence_penalty: RATIO,
  frequency_penalty: RATIO,
}

const OTHERS = new Set(
  `stop logit_bias logprobs user response_format tools tool_choice parallel_tool_calls functions function_call
  reasoning_effort reasoning verbosity modalities audio prediction store metadata service_tier web_search_options safety_identifier
  prompt_cache_key prompt_cache_retention thinking dimensions encoding_format
  num_ctx repeat_penalty repetition_penalty min_p keep_alive think chat_template_kwargs`.split(/\s+/),
)

/** Parameters that have no default: the caller decides them, and metering relies on them. */
const NOT_A_DEFAULT = new Set(['model', 'messages', 'input', 'prompt', 'stream', 'stream_options'])

/** Takes the request parameters, `extra_body`'s members included, out of litellm_params. */
export function readRequestDefaults(section: Section): Record<string, JsonValue> {
  const defaults: Record<string, JsonValue> = {}
  for (const field of section.fields) {
    if (Object.hasOwn(NUMBERS, field.name) || OTHERS.has(field.name)) set(defaults, section.take(field.name))
  }
  for (const field of section.take('extra_body').section()?.fields ?? []) {
    if (NOT_A_DEFAULT.has(field.name)) field.noEffect('it is the caller who decides this; leave it out')
    else set(defaults, field)
  }
  return defaults
}

function set(defaults: Record<string, JsonValue>, field: Field): void {
  const rule = Object.hasOwn(NUMBERS, field.name) ? NUMBERS[field.name] : undefined
  const value = rule === undefined ? field.json() : field.number(rule)
  // defineProperty: a key named __proto__ must become a member, not the prototype.
  if (value !== null)
    Object.defineProperty(defaults, field.name, { value, enumerable: true, configurable: true, writable: true })
}
