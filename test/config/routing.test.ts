/** Settings of routing in the forms in which LiteLLM's files write them. */
import { describe, expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { formatProblem, loadConfig } from '../../src/config/load.ts'

const MODELS = ['a', 'b', 'c']
  .map(
    (name) =>
      `  - {model_name: ${name}, litellm_params: {model: openai/${name}, mock_response: hi}, model_info: {id: the-${name}}}\n`,
  )
  .join('')

function read(settings: string, models = MODELS) {
  const text = `model_list:\n${models}${settings}`
  const { config, problems } = loadConfig(text, 'config.yaml', {}, { embedded: true, providers: PROVIDERS })
  const lines = problems.map(formatProblem)
  if (config === null) throw new Error(lines.join('\n'))
  return { routing: config.routing, config, lines }
}

describe('fallbacks', () => {
  test.each([
    ['a list of maps', 'fallbacks: [{a: [b, c]}, {b: [c]}]', { a: ['b', 'c'], b: ['c'] }],
    ['one map', 'fallbacks: {a: [b], b: c}', { a: ['b'], b: ['c'] }],
    ['defaults', 'default_fallbacks: [c]', { '*': ['c'] }],
    ['both', 'fallbacks: [{a: [b]}], default_fallbacks: [c]', { '*': ['c'], a: ['b'] }],
    ['the id of a deployment', 'fallbacks: [{a: [the-b]}]', { a: ['the-b'] }],
  ])('Fallbacks are read as %s, from either section.', (_, written, general) => {
    for (const section of ['litellm_settings', 'router_settings']) {
      const { routing, lines } = read(`${section}: {${written}}`)
      expect(routing.fallbacks).toEqual({ general, contextWindow: {}, contentPolicy: {} })
      expect(lines).toEqual([])
    }
  })

  test('Each kind has a table of its own, and the one in router_settings comes first.', () => {
    const { routing } = read(
      'litellm_settings: {context_window_fallbacks: [{a: [b]}], content_policy_fallbacks: [{a: [b]}]}\nrouter_settings: {context_window_fallbacks: [{a: [c]}]}',
    )
    expect(routing.fallbacks).toEqual({ general: {}, contextWindow: { a: ['c'] }, contentPolicy: { a: ['b'] } })
  })

  test('A fallback that is not a model is reported, unless a pattern may stand for any name.', () => {
    const settings = 'router_settings:\n  fallbacks:\n    - a: [b, typo]\n  default_fallbacks: [gone]'
    expect(read(settings).lines).toEqual([
      expect.stringMatching(/:7: router_settings\.fallbacks.*no such model here: "typo", so it never stands in/),
      expect.stringMatching(/:8: router_settings\.default_fallbacks.*no such model here: "gone"/),
    ])
    const open = `${MODELS}  - {model_name: "openai/*", litellm_params: {model: openai/*, mock_response: hi}}\n`
    expect(read(settings, open).lines).toEqual([])
  })
})

test('Without routing settings calls are shuffled, a deployment is spared for five seconds by its share of failures, and there are no fallbacks.', () => {
  expect(read('').routing).toMatchObject({
    strategy: 'simple-shuffle',
    maxFallbacks: 5,
    cooldowns: true,
    cooldownMs: 5_000,
    allowedFails: null,
    retryPolicy: null,
    maxParallel: null,
    tagFiltering: false,
    streamTimeoutMs: null,
  })
})

test('Policies, times and limits are read in the words of LiteLLM.', () => {
  const { routing, lines } = read(`router_settings:
  routing_strategy: usage-based-routing-v2
  routing_strategy_args: {ttl: 60, lowest_latency_buffer: 0.5}
  retry_policy: {TimeoutErrorRetries: 0, RateLimitErrorRetries: 3}
  model_group_retry_policy: {a: {InternalServerErrorRetries: 1}}
  allowed_fails_policy: {RateLimitErrorAllowedFails: 7}
  allowed_fails: 2
  cooldown_time: 30
  max_fallbacks: 1
  stream_timeout: 1.5
  retry_after: 1
  default_max_parallel_requests: 9
  enable_tag_filtering: true
  tag_filtering_match_any: false`)
  expect(lines).toEqual([])
  expect(routing).toMatchObject({
    strategy: 'usage-based-routing',
    latency: { ttlMs: 60_000, buffer: 0.5 },
    retryPolicy: { TimeoutError: 0, RateLimitError: 3 },
    groupRetryPolicy: { a: { InternalServerError: 1 } },
    allowedFailsPolicy: { RateLimitError: 7 },
    allowedFails: 2,
    cooldownMs: 30_000,
    maxFallbacks: 1,
    streamTimeoutMs: 1_500,
    retryAfterMs: 1_000,
    maxParallel: 9,
    tagFiltering: true,
    matchAnyTag: false,
  })
})

test('An unknown strategy is reported, and calls are shuffled.', () => {
  const { routing, lines } = read('router_settings: {routing_strategy: by-mood}')
  expect(routing.strategy).toBe('simple-shuffle')
  expect(lines).toEqual([expect.stringContaining('no such strategy here, so calls are shuffled')])
})

test.each([
  'routing_strategy: 7',
  'cooldown_time: soon',
  'max_fallbacks: -1',
  'fallbacks: yes',
  'retry_policy: {TimeoutErrorRetries: many}',
])('A wrong setting is an error that names it: %s.', (setting) => {
  const [name] = setting.split(':')
  expect(() => read(`router_settings: {${setting}}`)).toThrow(`router_settings.${name}`)
})
