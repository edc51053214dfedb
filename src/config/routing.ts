/**
 * How a call finds its deployment, in LiteLLM's words: `router_settings`, and the same settings in `litellm_settings`, where they stand
 * too. One in `router_settings` comes first.
 */
import type { Field, NumberRule, Section } from './field.ts'
import { showText } from './problem.ts'
import {
  FAILURE_CLASSES,
  type FailurePolicy,
  type FallbackTable,
  type RoutingSettings,
  STRATEGIES,
  type Strategy,
} from './routing-settings.ts'

const RETRIES: NumberRule = { what: 'a whole number from 0 to 100', example: '2', least: 0, most: 100, whole: true }
const FAILS: NumberRule = { what: 'a whole number, 0 or more', example: '3', least: 0, whole: true }
const SECONDS: NumberRule = { what: 'a number of seconds', example: '30', least: 0, most: 86_400 }
const BUFFER: NumberRule = { what: 'a number, 0 or more', example: '0.1', least: 0 }
const PARALLEL: NumberRule = { what: 'a whole number, 1 or more', example: '100', least: 1, whole: true }

/** LiteLLM's defaults. */
const COOLDOWN_SECONDS = 5
const MAX_FALLBACKS = 5
const LATENCY_TTL_SECONDS = 3_600

/** @param groups what a fallback may name; null for any name. */
export function readRouting(litellm: Section, router: Section, groups: ReadonlySet<string> | null): RoutingSettings {
  const either = (name: string): Field => {
    const [first, second] = [router.take(name), litellm.take(name)]
    return first.empty ? second : first
  }
  const table = (name: string) => readFallbacks(either(name), groups)
  const fallbacks = {
    contextWindow: table('context_window_fallbacks'),
    contentPolicy: table('content_policy_fallbacks'),
  }
  const others = readGroups(either('default_fallbacks'), groups)
  const general = { ...(others.length === 0 ? {} : { '*': others }), ...table('fallbacks') }
  const args = router.take('routing_strategy_args').section()
  const cooldown = either('cooldown_time').number(SECONDS) ?? COOLDOWN_SECONDS
  const stream = either('stream_timeout').number(SECONDS)
  const settings: RoutingSettings = {
    strategy: readStrategy(router.take('routing_strategy')),
    latency: {
      ttlMs: (args?.take('ttl').number(SECONDS) ?? LATENCY_TTL_SECONDS) * 1000,
      buffer: args?.take('lowest_latency_buffer').number(BUFFER) ?? 0,
    },
    fallbacks: { general, ...fallbacks },
    maxFallbacks: either('max_fallbacks').number(RETRIES) ?? MAX_FALLBACKS,
    retryPolicy: readPolicy(either('retry_policy'), 'Retries'),
    groupRetryPolicy: readGroupPolicies(router.take('model_group_retry_policy')),
    retryAfterMs: (router.take('retry_after').number(SECONDS) ?? 0) * 1000,
    cooldowns: router.take('disable_cooldowns').flag() !== true && cooldown > 0,
    cooldownMs: cooldown * 1000,
    allowedFails: either('allowed_fails').number(FAILS),
    allowedFailsPolicy: readPolicy(router.take('allowed_fails_policy'), 'AllowedFails'),
    maxParallel: router.take('default_max_parallel_requests').number(PARALLEL),
    tagFiltering: router.take('enable_tag_filtering').flag() === true,
    matchAnyTag: router.take('tag_filtering_match_any').flag() !== false,
    streamTimeoutMs: stream === null || stream === 0 ? null : stream * 1000,
  }
  args?.finish(new Set(), args.known)
  return settings
}

/** One that is not known is shuffled, as LiteLLM's default is. */
function readStrategy(field: Field): Strategy {
  const name = field.text('the name of a strategy')?.trim() ?? ''
  const known = STRATEGIES.find((strategy) => strategy === name.replace(/-v2$/, ''))
  if (name !== '' && known === undefined)
    field.warn('no such strategy here, so calls are shuffled', `use one of ${STRATEGIES.join(', ')}`)
  return known ?? 'simple-shuffle'
}

/** `[{ a: [b, c] }, ...]`, as LiteLLM writes it, or one map. */
function readFallbacks(field: Field, groups: ReadonlySet<string> | null): FallbackTable {
  const maps = field.isMap ? [field] : field.list()
  const entries = maps.flatMap((map) => map.section()?.fields ?? [])
  return Object.fromEntries(entries.map((entry) => [entry.name, readGroups(entry, groups)]))
}

/** A list of names, or one. */
function readGroups(field: Field, groups: ReadonlySet<string> | null): string[] {
  const entries = field.rawText() === null ? field.list() : [field]
  return entries.flatMap((entry) => {
    const name = entry.text('the name of a model group')?.trim() ?? ''
    if (name === '') return []
    const isKnown = groups === null || groups.has(name) || groups.has(name.slice(name.indexOf('/') + 1))
    if (!isKnown)
      entry.warn(`no such model here: ${showText(name)}, so it never stands in`, 'write a model_name of model_list')
    return [name]
  })
}

/** `TimeoutErrorRetries: 3`. */
function readPolicy(field: Field, ending: 'Retries' | 'AllowedFails'): FailurePolicy | null {
  const section = field.section()
  if (section === null) return null
  const policy = FAILURE_CLASSES.flatMap((name) => {
    const value = section.take(`${name}${ending}`).number(RETRIES)
    return value === null ? [] : [[name, value] as const]
  })
  section.finish(new Set(), section.known)
  return Object.fromEntries(policy)
}

function readGroupPolicies(field: Field): Record<string, FailurePolicy> {
  const fields = field.section()?.fields ?? []
  return Object.fromEntries(fields.map((group) => [group.name, readPolicy(group, 'Retries') ?? {}]))
}
