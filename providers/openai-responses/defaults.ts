/** The operator's defaults, which are written in the words of chat completions, in those of a request for a response. */
import { asObject } from '../json.ts'

type Json = Readonly<Record<string, unknown>>

const SAME: readonly string[] = [
  ...['temperature', 'top_p', 'top_logprobs', 'user', 'metadata', 'service_tier', 'parallel_tool_calls', 'reasoning'],
  ...['safety_identifier', 'prompt_cache_key', 'prompt_cache_retention', 'max_tool_calls', 'truncation', 'include'],
  ...['provider', 'models', 'text', 'store'],
]

/** What has no place in a response (`n`, `stop`, `seed`) is left out. */
export function responseDefaults(defaults: Json): Json {
  const found: Record<string, unknown> = {}
  for (const name of SAME) if (Object.hasOwn(defaults, name)) found[name] = defaults[name]
  const caps = [defaults.max_output_tokens, defaults.max_completion_tokens, defaults.max_tokens].filter(isNumber)
  if (caps.length > 0) found.max_output_tokens = Math.max(...caps)
  const effort = defaults.reasoning_effort ?? null
  if (effort !== null && found.reasoning === undefined) found.reasoning = { effort }
  const verbosity = defaults.verbosity ?? null
  if (verbosity !== null && asObject(found.text) === null) found.text = { verbosity }
  return found
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number'
}
