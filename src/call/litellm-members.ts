/**
 * LiteLLM's own members of a request, whatever the endpoint: each is honoured, or refused with what to do instead, or harmless here.
 * None is ever sent on. What a dialect has under the same name is said by its endpoint.
 */
import type { ProviderErrorKind } from '../../providers/provider.ts'
import type { FallbackTable } from '../config/routing-settings.ts'
import { TollgateError } from '../http/errors.ts'
import type { RoutingAsked } from './endpoint.ts'

export type Asked = { -readonly [Name in keyof RoutingAsked]: RoutingAsked[Name] }

/** Reads a value that is not null. @throws {TollgateError} 400, naming the member. */
export type ReadMember = (value: unknown, name: string, asked: Asked) => void

const RETRIES_MAX = 100
const SECONDS_MAX = 2_000_000
const NAMES_MAX = 20
const TAGS_MAX = 32
const NAME_MAX = 256

const timeout = seconds((asked, ms) => {
  asked.timeoutMs ??= ms
})
const streamTimeout = seconds((asked, ms) => {
  asked.streamTimeoutMs ??= ms
})
const retries: ReadMember = (value, name, asked) => {
  const isCount = Number.isInteger(value) && Number(value) >= 0 && Number(value) <= RETRIES_MAX
  if (!isCount) throw wrong(name, `a whole number from 0 to ${RETRIES_MAX}`)
  asked.numRetries ??= Number(value)
}
const tags: ReadMember = (value, name, asked) => {
  asked.tags = [...new Set([...(asked.tags ?? []), ...texts(value, name, TAGS_MAX)])]
}
/** Nothing is answered from a cache here, which all that can be asked of one allows. */
const cache: ReadMember = (value, name) => void objectIn(value, name)
const flag = (value: unknown, name: string): boolean => {
  if (typeof value === 'boolean') return value
  throw wrong(name, 'true or false')
}

/** Names LiteLLM puts on its own logs: nothing here depends on them. */
const LABELS = ['no-log', 'litellm_call_id', 'litellm_trace_id', 'litellm_session_id', 'litellm_request_debug']

/** Whoever may say where a call goes, by which key and at what price, is the operator. */
const OPERATORS = [
  ...['api_key', 'api_base', 'base_url', 'api_version', 'custom_llm_provider', 'litellm_credential_name', 'headers'],
  ...['extra_headers', 'model_list', 'user_config', 'router_settings_override', 'model_info', 'allowed_openai_params'],
  ...['input_cost_per_token', 'output_cost_per_token', 'input_cost_per_second', 'output_cost_per_second'],
  ...['mock_response', 'mock_tool_calls', 'mock_timeout', 'mock_delay', 'cooldown_time', 'retry_policy'],
]

export const LITELLM_MEMBERS: ReadonlyMap<string, ReadMember> = new Map<string, ReadMember>([
  ['num_retries', retries],
  ['max_retries', retries],
  ['timeout', timeout],
  ['request_timeout', timeout],
  ['stream_timeout', streamTimeout],
  ['fallbacks', table('general')],
  ['context_window_fallbacks', table('contextWindow')],
  ['content_policy_fallbacks', table('contentPolicy')],
  ['disable_fallbacks', (value, name, asked) => Object.assign(asked, { isWithoutFallbacks: flag(value, name) })],
  ['tags', tags],
  ['litellm_metadata', labels],
  ['guardrails', guardrails],
  ['cache', cache],
  ['caching', (value, name) => void flag(value, name)],
  ['drop_params', (value, name, asked) => Object.assign(asked, { dropParams: flag(value, name) })],
  ['mock_testing_fallbacks', trial('failed')],
  ['mock_testing_context_fallbacks', trial('context_length')],
  ['mock_testing_content_policy_fallbacks', trial('content_filter')],
  ['mock_testing_rate_limit_error', trial('rate_limit')],
  [
    'additional_drop_params',
    () => refuse('additional_drop_params', 'Leave out of the request what shall not be sent.'),
  ],
  ['prompt_id', () => refuse('prompt_id', 'No prompts are kept here. Send the messages.')],
  ['prompt_variables', () => refuse('prompt_variables', 'No prompts are kept here. Send the messages.')],
  ...LABELS.map((name) => [name, () => {}] as const),
  ...OPERATORS.map((name) => [name, () => refuse(name, 'That is for the operator to say, in config.yaml.')] as const),
])

/** Of headers; one in the place of a member comes first. */
export const LITELLM_HEADERS: ReadonlyMap<string, (value: string, name: string, asked: Asked) => void> = new Map([
  ['x-litellm-customer-id', endUser],
  ['x-litellm-end-user-id', endUser],
  ['x-litellm-timeout', (value, name, asked) => timeout(Number(value), name, asked)],
  ['x-litellm-stream-timeout', (value, name, asked) => streamTimeout(Number(value), name, asked)],
  ['x-litellm-num-retries', (value, name, asked) => retries(value.trim() === '' ? null : Number(value), name, asked)],
  [
    'x-litellm-tags',
    (value, name, asked) =>
      tags(
        value.split(',').flatMap((tag) => tag.trim() || []),
        name,
        asked,
      ),
  ],
])

/**
 * What LiteLLM's callers put into `metadata` too: `tags`, and lists and objects for its logs. Texts are the dialect's own. Returns
 * the names of what is not.
 */
export function readMetadata(metadata: Readonly<Record<string, unknown>>, asked: Asked): string[] {
  const own = Object.keys(metadata).filter((name) => typeof metadata[name] === 'object' && metadata[name] !== null)
  for (const name of own) {
    if (name === 'tags') tags(metadata.tags, 'metadata.tags', asked)
    if (name === 'guardrails') guardrails(metadata.guardrails, 'metadata.guardrails')
  }
  return own
}

function endUser(value: string, _: string, asked: Asked): void {
  if (value.trim() !== '') asked.endUser ??= value.trim()
}

function labels(value: unknown, name: string, asked: Asked): void {
  const { tags: own = null, guardrails: guards = null } = objectIn(value, name)
  if (own !== null) tags(own, `${name}.tags`, asked)
  if (guards !== null) guardrails(guards, `${name}.guardrails`)
}

function seconds(put: (asked: Asked, ms: number) => void): ReadMember {
  return (value, name, asked) => {
    if (typeof value !== 'number' || !(value > 0 && value <= SECONDS_MAX))
      throw wrong(name, `a number of seconds above 0, up to ${SECONDS_MAX}`)
    put(asked, Math.ceil(value * 1_000))
  }
}

/** Fails closed: who asks for protection does not get a call without. */
function guardrails(value: unknown, name: string): void {
  const isEmpty = typeof value === 'object' && value !== null && Object.keys(value).length === 0
  if (!isEmpty) refuse(name, 'No guardrails run here, and none is skipped in silence.')
}

/** What stands in is asked as if the group that was asked for had failed so. */
function trial(kind: ProviderErrorKind): ReadMember {
  return (value, name, asked) => {
    if (flag(value, name)) asked.mockFailure = kind
  }
}

/** `["b", "c"]`, `[{ "model": "b" }]` for this call, or `[{ "a": ["b"] }]` as an operator writes it. */
function table(kind: 'general' | 'contextWindow' | 'contentPolicy'): ReadMember {
  return (value, name, asked) => {
    const entries: unknown[] = Array.isArray(value) ? value : [value]
    if (entries.length > NAMES_MAX) throw wrong(name, `a list of up to ${NAMES_MAX} models`)
    const found: Record<string, readonly string[]> = Object.create(null)
    for (const [group, names] of entries.flatMap((entry) => entryOf(entry, name)))
      found[group] = [...(found[group] ?? []), ...names]
    asked.fallbacks = { ...asked.fallbacks, [kind]: found as FallbackTable }
  }
}

const ANY_GROUP = '*'

function entryOf(entry: unknown, name: string): (readonly [string, readonly string[]])[] {
  if (typeof entry === 'string') return [[ANY_GROUP, texts([entry], name, 1)]]
  const json = objectIn(entry, name)
  const { model, ...more } = json
  if (typeof model !== 'string')
    return Object.entries(json).map(([group, names]) => [group, texts(names, name, NAMES_MAX)])
  const [other] = Object.keys(more)
  if (other !== undefined)
    throw wrong(name, `a list of names of models; '${other.slice(0, 100)}' can't be another for each`)
  return [[ANY_GROUP, texts([model], name, 1)]]
}

function texts(value: unknown, name: string, most: number): string[] {
  const list: unknown[] = typeof value === 'string' ? [value] : Array.isArray(value) ? value : [null]
  const isText = (one: unknown): one is string => typeof one === 'string' && one !== '' && one.length <= NAME_MAX
  if (list.length <= most && list.every(isText)) return list
  throw wrong(name, `a list of up to ${most} texts of up to ${NAME_MAX} characters`)
}

function objectIn(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw wrong(name, 'an object')
}

function wrong(name: string, expected: string): TollgateError {
  return new TollgateError(400, 'invalid_request', `"${name}" must be ${expected}.`, { param: name })
}

function refuse(name: string, instead: string): never {
  throw new TollgateError(400, 'unsupported_parameter', `'${name}' is not taken here. ${instead}`, { param: name })
}
