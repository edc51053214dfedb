import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import type { Config } from '../../src/config/config.ts'
import { describeConfig, formatProblem, loadConfig } from '../../src/config/load.ts'
import { linesOf } from '../../src/config/problem-lines.ts'
import type { Env } from '../../src/config/source.ts'

const KEY = 'sk-Vq7mZx2Lw9Rt4Yb8Nc6H'
const LONG_KEY = 'sk-4f0a9c7be1d2358860aa97c1'

function problemsOf(text: string, env: Env = {}, embedded = true): string[] {
  return loadConfig(text, 'config.yaml', env, { embedded, providers: PROVIDERS }).problems.map(
    (problem) => `${problem.severity === 'error' ? 'E' : problem.quiet ? 'q' : 'w'} ${formatProblem(problem)}`,
  )
}

function load(text: string, env: Env = {}): Config {
  const { config, problems } = loadConfig(text, 'config.yaml', env, { embedded: true, providers: PROVIDERS })
  if (config === null) throw new Error(problems.map(formatProblem).join('\n'))
  return config
}

const model = (params: string): string =>
  `model_list:\n  - model_name: m\n    litellm_params:\n      model: openai/gpt-4o\n      api_key: os.environ/K\n${params}`

describe('a file people have', () => {
  const text = `
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      rpm: "480"
      timeout: 300
      stream_timeout: "2.5"
      max_tokens: 1024
      temperature: 0.5
    model_info:
      id: primary
      mode: chat
      max_output_tokens: 16384
  - model_name: gpt-4o
    litellm_params:
      model: openai/openai/gpt-4o
      api_base: https://openrouter.ai/api/v1/
      api_key: os.environ/OPENROUTER_API_KEY
      input_cost_per_token: "3e-7"
      output_cost_per_token: 0.00000015
  - model_name: claude
    litellm_params: {model: anthropic/claude-sonnet-4-5, drop_params: false}
  - model_name: hf
    litellm_params: {model: huggingface/together/deepseek-ai/DeepSeek-R1}
  - model_name: router
    litellm_params: {model: openrouter/openai/gpt-4o-mini}
litellm_settings:
  drop_params: true
  num_retries: 5
  request_timeout: 120
  set_verbose: false
  success_callback: ["lago"]
  fallbacks: [{"gpt-4o": ["claude"]}]
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  database_url: os.environ/DATABASE_URL
router_settings:
  routing_strategy: simple-shuffle
  num_retries: 1
  allowed_fails: 3
  cooldown_time: 30
  enable_pre_call_checks: true
  model_group_alias: {gpt-4: gpt-4o, old: {model: claude, hidden: false}}
`
  const env = {
    OPENAI_API_KEY: 'sk-openai',
    OPENROUTER_API_KEY: 'sk-or-1',
    ANTHROPIC_API_KEY: 'sk-ant',
    HUGGINGFACE_API_KEY: 'hf_1',
    LITELLM_MASTER_KEY: KEY,
    DATABASE_URL: 'postgresql://tollgate@db/tollgate',
  }

  test('A file people have becomes deployments with everything resolved.', () => {
    const config = load(text, env)
    expect(config.deployments[0]).toEqual({
      id: 'primary',
      modelName: 'gpt-4o',
      provider: 'openai',
      upstreamModel: 'gpt-4o',
      apiKey: 'sk-openai',
      apiKeySource: 'OPENAI_API_KEY',
      keyWritten: true,
      trustedHost: true,
      apiBase: null,
      shownApiBase: null,
      organization: null,
      extraHeaders: {},
      defaults: { max_tokens: 1024, temperature: 0.5 },
      timeoutMs: 300_000,
      streamTimeoutMs: 2_500,
      mockResponse: null,
      price: null,
      maxOutputTokens: 16384,
      maxInputTokens: null,
      mode: 'chat',
      dropParams: true,
      allowedParams: [],
      weight: null,
      rpm: 480,
      tpm: null,
    })
    expect(config.deployments[1]).toMatchObject({
      provider: 'openai',
      upstreamModel: 'openai/gpt-4o',
      apiBase: 'https://openrouter.ai/api/v1',
      apiKey: 'sk-or-1',
      price: { input: 300_000_000n, output: 150_000_000n, cacheRead: null, tiers: [] },
    })
    expect(config.deployments[2]).toMatchObject({
      provider: 'anthropic',
      upstreamModel: 'claude-sonnet-4-5',
      dropParams: false,
    })
    expect(config.deployments[2]).toMatchObject({ apiKey: 'sk-ant', apiKeySource: 'ANTHROPIC_API_KEY' })
    expect(config.deployments[3]).toMatchObject({
      provider: 'huggingface',
      upstreamModel: 'together/deepseek-ai/DeepSeek-R1',
    })
    expect(config.deployments[3]).toMatchObject({ apiKeySource: 'HUGGINGFACE_API_KEY' })
    expect(config.deployments[4]).toMatchObject({ provider: 'openrouter', upstreamModel: 'openai/gpt-4o-mini' })
  })

  test('A file people have becomes settings, router_settings before litellm_settings.', () => {
    const config = load(text, env)
    expect(config).toMatchObject({ dropParams: true, numRetries: 1, requestTimeoutMs: 120_000, masterKey: KEY })
    expect(config.databaseUrl).toBe('postgresql://tollgate@db/tollgate')
    expect(config.modelGroupAlias).toEqual({ 'gpt-4': 'gpt-4o', old: 'claude' })
  })

  test('A file people have names each setting without effect by line.', () => {
    const fix = 'accepted, has no effect here. Fix: nothing to do; it may be left out'
    expect(problemsOf(text, env)).toEqual([
      `w config.yaml:33: litellm_settings.set_verbose: ${fix}`,
      'w config.yaml:34: litellm_settings.success_callback.lago: accepted, has no effect here. Fix: nothing is sent to it; known here: otel, langfuse, langfuse_otel, arize, arize_phoenix, prometheus',
      `w config.yaml:44: router_settings.enable_pre_call_checks: ${fix}`,
    ])
  })

  test('A file people have is frozen all the way down.', () => {
    const config = load(text, env)
    expect(Object.isFrozen(config.deployments)).toBe(true)
    expect(Object.isFrozen(config.deployments[0]?.defaults)).toBe(true)
    expect(Object.isFrozen(config.deployments[1]?.price?.tiers)).toBe(true)
    expect(Object.isFrozen(config.plans.platform)).toBe(true)
  })
})

describe('what is wrong is said all at once', () => {
  test('All problems are reported at once, with line, path, what was found and the fix.', () => {
    const text = `model_list:
  - model_name: a
    litellm_params:
      model: acme/gpt-4o
      timeout: abc
  - litellm_params: {model: openai/gpt-4o, mock_response: hi, timeout: -1}
  - model_name: b
  - model_name: c
    litellm_params:
      model: mystery
  - model_name: d
    litellm_params:
      model: openai/*
      mock_response: hi
  - model_name: e
    litellm_params: {model: gpt-4o, mock_response: hi, input_cost_per_token: -1, drop_params: "true", weird: 1}
litellm_settings:
  num_retries: many
  request_timeout: .inf
  typo_here: 1
general_settings: [1]
tollgate:
  plans: {platform: 50, gold: {markup_percent: 1}}
  leases: {renew_seconds: 20}
  caps: {output_tokens: 1.5}
`
    const prefixes = Object.keys(PROVIDERS)
      .map((provider) => `${provider}/`)
      .join(', ')
    expect(problemsOf(text)).toEqual([
      `w config.yaml:4: model_list[0].litellm_params.model: left out: no such provider here: "acme". Fix: use one of ${prefixes}; an OpenAI-compatible server goes as openai/<model> with api_base`,
      'E config.yaml:5: model_list[0].litellm_params.timeout: expected a number of seconds, found "abc". Fix: write timeout: 60',
      'E config.yaml:6: model_list[1].model_name: missing: the name clients ask for. Fix: write model_name: gpt-4o',
      'E config.yaml:6: model_list[1].litellm_params.timeout: expected a number of seconds, found -1. Fix: write timeout: 60',
      'E config.yaml:7: model_list[2].litellm_params: missing: what serves this model. Fix: write litellm_params: with model: provider/name below it',
      `w config.yaml:10: model_list[3].litellm_params.model: left out: can't tell the provider of "mystery". Fix: write it with one of ${prefixes}`,
      'w config.yaml:13: model_list[4].litellm_params.model: left out: holds more * than model_name. Fix: write the model in full, or put * into model_name too',
      'E config.yaml:16: model_list[5].litellm_params.input_cost_per_token: expected dollars per token, 0 or more, found -1. Fix: write input_cost_per_token: 0.00000015',
      'w config.yaml:16: model_list[5].litellm_params.drop_params: a text is read as true. Fix: write drop_params: true',
      'w config.yaml:16: model_list[5].litellm_params.weird: unknown setting, ignored. Fix: check the spelling; a parameter only the provider knows goes under extra_body',
      'E config.yaml:18: litellm_settings.num_retries: expected a whole number from 0 to 100, found "many". Fix: write num_retries: 2',
      'E config.yaml:19: litellm_settings.request_timeout: expected a number of seconds, found .inf. Fix: write request_timeout: 60',
      'w config.yaml:20: litellm_settings.typo_here: unknown setting, ignored. Fix: check the spelling',
      'E config.yaml:21: general_settings: expected a map of settings, found a list. Fix: write general_settings: and below it, indented, "name: value" lines',
      'E config.yaml:23: tollgate.plans.platform: expected a map of settings, found 50. Fix: write platform: and below it, indented, "name: value" lines',
      'w config.yaml:23: tollgate.plans.gold: unknown setting, ignored. Fix: known here: platform, byok, hybrid',
      'E config.yaml:24: tollgate.leases: dead_after_seconds must be at least twice renew_seconds. Fix: write renew_seconds: 5 and dead_after_seconds: 30',
      'E config.yaml:25: tollgate.caps.output_tokens: expected a whole number of tokens, 1 or more, found 1.5. Fix: write output_tokens: 4096',
    ])
  })

  test('A warning alone does not stop the start, an error does.', () => {
    expect(loadConfig('nonsense: 1', 'c.yaml', {}, { embedded: true, providers: PROVIDERS }).config).not.toBeNull()
    expect(loadConfig('model_list: 1', 'c.yaml', {}, { embedded: true, providers: PROVIDERS }).config).toBeNull()
  })
})

describe('YAML', () => {
  test.each([
    ['', 'w config.yaml: the file is empty, so there is no model to call. Fix: add a model_list'],
    ['# only a comment\n', 'w config.yaml: the file is empty, so there is no model to call. Fix: add a model_list'],
    ['tollgate: {}\n', 'w config.yaml: model_list: missing, so there is no model to call. Fix: add a model_list'],
  ])('YAML with %j is allowed.', (text, problem) => {
    expect(problemsOf(text)).toEqual([problem])
    expect(load(text).deployments).toEqual([])
  })

  test.each([
    ['model_list:\n\t- a: 1\n', 'config.yaml:2: not valid YAML: Tabs are not allowed as indentation.'],
    [
      'model_list: []\nx: *nobody\n',
      'config.yaml:2: the alias *nobody has no anchor before it. Fix: write &nobody at the value it stands for',
    ],
    ['a: 1\nx: &x [*x]\n', 'config.yaml:2: the alias *x contains itself. Fix: write the value out'],
    ['- a\n- b\n', 'config.yaml: expected a map of settings, found a list. Fix: write "name: value" lines'],
  ])('YAML with %j is an error with its line.', (text, problem) => {
    expect(problemsOf(text).find((line) => line.startsWith('E'))).toContain(`E ${problem}`)
  })

  test('Of a YAML key that is written twice the last one counts, and its line is reported.', () => {
    const twice = `litellm_settings: {num_retries: 3, drop_params: true}
model_list: []
litellm_settings:
  num_retries: 4
  num_retries: 5
`
    expect(problemsOf(twice)).toEqual(
      [3, 5].map(
        (line) =>
          `w config.yaml:${line}: this key is written twice in the same map: the last one counts, and nothing of the first. Fix: keep one of the two`,
      ),
    )
    expect(load(twice)).toMatchObject({ numRetries: 5, dropParams: false })
  })

  test('YAML may have anchors and merge keys.', () => {
    const config = load(
      `x: &base {api_key: os.environ/K, timeout: 30}
model_list:
  - {model_name: a, litellm_params: {<<: *base, model: openai/a}}
  - {model_name: b, litellm_params: {<<: *base, model: openai/b, timeout: 60}}
`,
      { K: 'k' },
    )
    expect(config.deployments.map(({ apiKey, timeoutMs }) => [apiKey, timeoutMs])).toEqual([
      ['k', 30_000],
      ['k', 60_000],
    ])
  })

  test('An alias bomb in YAML is refused.', () => {
    const levels = Array.from(
      { length: 12 },
      (_, level) => `l${level + 1}: &l${level + 1} [${Array(10).fill(`*l${level}`).join(', ')}]`,
    )
    expect(problemsOf(['l0: &l0 [x]', ...levels].join('\n'))).toEqual([
      'E config.yaml: the aliases of this file expand to far too many values. Fix: write the values out',
    ])
  })
})

describe('prices', () => {
  test.each([
    ['0.00000015', 150_000_000n],
    ['"3e-7"', 300_000_000n],
    ['3e-7', 300_000_000n],
    ['1.5E-07', 150_000_000n],
    ['0', 0n],
    ['"0.0"', 0n],
    ['2.75e-06', 2_750_000_000n],
    ['0.1', 100_000_000_000_000n],
    ['1e-16', 1n],
    ['0.0000001234567891', 123_456_790n],
  ])('%s dollars per token is exact, or rounded up.', (written, nanoDollarsPerMillion) => {
    const config = load(model(`      input_cost_per_token: ${written}\n`), { K: 'k' })
    expect(config.deployments[0]?.price).toEqual({
      input: nanoDollarsPerMillion,
      output: null,
      cacheRead: null,
      cacheWrite5m: null,
      cacheWrite1h: null,
      audioInput: null,
      audioOutput: null,
      imageOutput: null,
      tiers: [],
    })
  })

  test.each(['-0.1', '.nan', '.inf', '-.inf', '"12 cents"', '0x10', 'true', '[1]', '1e9'])(
    'A price of %s is an error.',
    (written) => {
      const problems = problemsOf(model(`      input_cost_per_token: ${written}\n`), { K: 'k' })
      expect(problems.filter((line) => line.startsWith('E'))).toHaveLength(1)
      expect(problems[0]).toMatch(
        /config.yaml:6: model_list\[0\].litellm_params.input_cost_per_token: expected dollars per token/,
      )
    },
  )

  test('A price per million tokens written by mistake is pointed out.', () => {
    expect(problemsOf(model('      input_cost_per_token: 0.15\n'), { K: 'k' })).toEqual([
      'w config.yaml:6: model_list[0].litellm_params.input_cost_per_token: costs are dollars per token, so this is $150000 per million tokens. Fix: divide a price per million tokens by 1000000',
    ])
  })

  test('Every bucket and tier may have a price, from litellm_params before model_info.', () => {
    const config = load(
      model(`      output_cost_per_token: 0.00001
    model_info:
      input_cost_per_token: 0.00000125
      output_cost_per_token: 0.5
      cache_read_input_token_cost: 1.25e-7
      cache_creation_input_token_cost: 1e-6
      cache_creation_input_token_cost_above_1hr: 2e-6
      input_cost_per_audio_token: 3e-6
      output_cost_per_audio_token: 4e-6
      output_cost_per_image_token: 5e-6
      output_cost_per_token_above_272k_tokens: 2e-5
      input_cost_per_token_above_200k_tokens: 2.5e-6
      output_cost_per_token_above_200k_tokens: 1.5e-5
`),
      { K: 'k' },
    )
    expect(config.deployments[0]?.price).toEqual({
      input: 1_250_000_000n,
      output: 10_000_000_000n,
      cacheRead: 125_000_000n,
      cacheWrite5m: 1_000_000_000n,
      cacheWrite1h: 2_000_000_000n,
      audioInput: 3_000_000_000n,
      audioOutput: 4_000_000_000n,
      imageOutput: 5_000_000_000n,
      tiers: [
        { above: 200_000, input: 2_500_000_000n, output: 15_000_000_000n, cacheRead: null, cacheWrite5m: null },
        { above: 272_000, input: null, output: 20_000_000_000n, cacheRead: null, cacheWrite5m: null },
      ],
    })
  })

  test('A price of null is not a price.', () => {
    expect(load(model('      input_cost_per_token: null\n'), { K: 'k' }).deployments[0]?.price).toBeNull()
  })
})

describe('the tollgate section', () => {
  test('The tollgate section has defaults.', () => {
    const { plans, powerLevels, allowBelowCost, toolFees, caps, leases, limits, numRetries, requestTimeoutMs } =
      load('')
    expect(plans).toEqual({ platform: { markup: 500_000n }, byok: { markup: 0n }, hybrid: { markup: 500_000n } })
    expect(powerLevels).toEqual({ eco: 500_000n, balanced: 1_000_000n, precision: 2_000_000n })
    expect({ allowBelowCost, toolFees, numRetries, requestTimeoutMs }).toEqual({
      allowBelowCost: false,
      toolFees: {},
      numRetries: 2,
      requestTimeoutMs: 600_000,
    })
    expect(caps).toEqual({ streamOutputTokens: 4096, outputTokens: 16384, leastOutputTokens: 256 })
    expect(leases).toEqual({ renewSeconds: 5, deadAfterSeconds: 30 })
    expect(limits).toEqual({
      callsPerKey: 256,
      callsPerUser: 512,
      callsPerOrganization: 1024,
      calls: 4096,
      providerConnections: 2048,
      connectionWaitSeconds: 5,
      fetches: 32,
      fetchedBytes: 67_108_864,
      bodyBytes: 33_554_432,
      bodiesBytes: null,
      bodyValues: 100_000,
      uploadsPerCaller: 100,
      uploadSeconds: 120,
      silentSeconds: 10,
      connections: 10_000,
      requestsPerConnection: 10_000,
      unknownKeysPerMinute: 30,
      refusedCallsPerSecond: 200,
      connectTimeoutMs: 10_000,
      idleTimeoutMs: 300_000,
      drainSeconds: 30,
      clientStallSeconds: 120,
      creditWaitSeconds: 5,
      bookingWaitSeconds: 0.25,
    })
  })

  test('The tollgate section takes values.', () => {
    const config = load(`tollgate:
  plans: {platform: {markup_percent: 12.5}, byok: {markup_percent: 2}, hybrid: {markup_percent: "0"}}
  power_levels: {eco: 0.75, precision: "3"}
  allow_below_cost: yes
  tool_fees: {web_search: 0.025, code: 1}
  caps: {stream_output_tokens: 1_000, output_tokens: "2000", least_output_tokens: 1}
  leases: {renew_seconds: 1, dead_after_seconds: 4}
  limits: {calls_per_key: 1, calls_per_user: 2, calls_per_organization: 3, calls: 4, provider_connections: 5, connection_wait_seconds: 0, fetches: 6, fetched_megabytes: 7, body_megabytes: 0.5, bodies_megabytes: 64, body_values: 9, uploads_per_caller: 8, upload_seconds: 7.5, silent_seconds: 6, connections: 5, requests_per_connection: 4, unknown_keys_per_minute: 3, refused_calls_per_second: 2, connect_timeout_seconds: 0.25, idle_timeout_seconds: 1, drain_seconds: 2, client_stall_seconds: 3, credit_wait_seconds: 0, booking_wait_seconds: 0.5}
`)
    expect(config.plans).toEqual({ platform: { markup: 125_000n }, byok: { markup: 20_000n }, hybrid: { markup: 0n } })
    expect(config.powerLevels).toEqual({ eco: 750_000n, balanced: 1_000_000n, precision: 3_000_000n })
    expect(config.allowBelowCost).toBe(true)
    expect(config.toolFees).toEqual({ web_search: 25_000_000n, code: 1_000_000_000n })
    expect(config.caps).toEqual({ streamOutputTokens: 1000, outputTokens: 2000, leastOutputTokens: 1 })
    expect(config.leases).toEqual({ renewSeconds: 1, deadAfterSeconds: 4 })
    expect(config.limits).toEqual({
      callsPerKey: 1,
      callsPerUser: 2,
      callsPerOrganization: 3,
      calls: 4,
      providerConnections: 5,
      connectionWaitSeconds: 0,
      fetches: 6,
      fetchedBytes: 7_340_032,
      bodyBytes: 524_288,
      bodiesBytes: 67_108_864,
      bodyValues: 9,
      uploadsPerCaller: 8,
      uploadSeconds: 7.5,
      silentSeconds: 6,
      connections: 5,
      requestsPerConnection: 4,
      unknownKeysPerMinute: 3,
      refusedCallsPerSecond: 2,
      connectTimeoutMs: 250,
      idleTimeoutMs: 1000,
      drainSeconds: 2,
      clientStallSeconds: 3,
      creditWaitSeconds: 0,
      bookingWaitSeconds: 0.5,
    })
  })
})

describe("the repository's config.yaml", () => {
  const text = readFileSync(new URL('../../config.yaml', import.meta.url), 'utf8')

  test("The repository's config.yaml starts without a key and without a warning.", () => {
    const { config, problems } = loadConfig(text, 'config.yaml', {}, { embedded: true, providers: PROVIDERS })
    expect(config?.deployments.map(({ modelName }) => modelName)).toEqual([
      'demo',
      ...Object.keys(PROVIDERS)
        .filter((provider) => PROVIDERS[provider]?.baseVariable === undefined)
        .map((provider) => `${provider}/*`),
    ])
    expect(problems.filter(({ quiet }) => quiet !== true)).toEqual([])
  })

  test("check-config names all providers of the repository's config.yaml that have no key in one sentence.", () => {
    const { config, problems } = loadConfig(text, 'config.yaml', {}, { embedded: true, providers: PROVIDERS })
    const lines = linesOf(problems).filter((line) => line.includes('no key for '))
    expect(lines).toHaveLength(1)
    const without = config?.deployments.filter(({ provider }) => PROVIDERS[provider]?.cloud === undefined) ?? []
    for (const { provider } of without.filter(({ modelName }) => modelName !== 'demo'))
      expect(lines[0]).toContain(` ${provider} (${PROVIDERS[provider]?.keyVariables.join(' or ')})`)
  })

  test("The repository's config.yaml states the defaults in its comments.", () => {
    const uncommented = text.replace(/^# (?=tollgate:)/m, '').replace(/^#(?= {3,}\S)/gm, ' ')
    const { warnings: _, ...spelledOut } = load(uncommented.replace(/^.*(?:master_key|database_url).*$/gm, ''))
    const { warnings: __, ...defaults } = load(text)
    expect(spelledOut).toEqual(defaults)
    expect(uncommented).toMatch(/^tollgate:\n +plans:/m)
  })
})

describe('check-config', () => {
  test('check-config says what serves what, from which key, at which price.', () => {
    const config = load(
      `model_list:
  - {model_name: demo, litellm_params: {model: gpt-4o-mini, mock_response: hi}}
  - {model_name: openai/*, litellm_params: {model: openai/*, api_key: os.environ/K}}
  - model_name: local
    litellm_params: {model: openai/llama, api_base: "http://10.0.0.7:8000/v1", api_key: os.environ/K, input_cost_per_token: 0, output_cost_per_token: 0, allowed_openai_params: [num_ctx, "*"]}
  - model_name: local
    litellm_params: {model: groq/llama, input_cost_per_token: 1.5e-7}
litellm_settings: {cache: true}
router_settings: {model_group_alias: {best: local}}
`,
      { K: 'k', TOLLGATE_MASTER_KEY: KEY },
    )
    expect(describeConfig(config)).toBe(`config.yaml: 3 model groups
  demo
    openai gpt-4o-mini, mock: nobody is called, price: data set
  openai/*
    openai *, key from K, price: data set
  local
    openai llama at http://10.0.0.7:8000, key from K, price: free, lets through "num_ctx" "*"
    groq llama, no key, price: operator (per million tokens: input $0.15, output data set)
  best
    stands for local

master key: set
database: embedded
plans: platform +50 %, byok +0 %, hybrid +50 %
power levels: eco x0.5, balanced x1, precision x2
charges below the provider's cost: never
retries: 2, request timeout: 600 s

service keys: none
identity providers: none
sessions: cookie session_token, kept in the database for 7200 s, system administrators: admin system_admin
public URL: as each request says
pages of other sites that may call: none
trusted proxies: none
rate limits, counted in each process: 20 POST, 100 GET, 100 others a minute, of a caller to a route under /api/v1
  calls of models: no limit of a minute

LiteLLM settings accepted without effect:
  line 8: litellm_settings.cache`)
  })

  test('check-config says who may call, from where and how often.', () => {
    const config = load(
      `model_list: [{model_name: demo, litellm_params: {model: gpt-4o-mini, mock_response: hi}}]
general_settings: {litellm_key_header_name: X-My-Key}
tollgate:
  service_keys:
    - {name: loopnet, key: os.environ/K, act_as: members, models: [gpt-4o-mini, "claude-*"], requests_per_minute: 600}
  oidc:
    - {issuer: "https://login.example.com/realms/acme", audience: [tollgate, account], organization_claim: organization, roles_claim: realm_access.roles, admin_roles: [tollgate-admin], client_id: web, client_secret: os.environ/K}
    - {issuer: "https://other.example.com", audience: tollgate, user_claim: email}
  public_url: https://gate.example.com
  cors: {origins: ["https://*.example.com", "http://localhost:*"]}
  trusted_proxies: [10.0.0.0/8]
  rate_limits: {post_per_minute: 5, organization: {tokens_per_minute: 1000, calls_at_once: 8}, byok: {requests_per_minute: 3}}
`,
      { K: LONG_KEY, REDIS_URL: 'redis://:secret-word@redis.example.com:6379/0' },
    )
    const described = describeConfig(config)
    expect(described).toContain(`
header that names a key before all others: x-my-key
service keys: loopnet
  loopnet: organization loopnet, user loopnet-service, may act as members, models gpt-4o-mini claude-*, routes llm, 600 calls a minute
identity providers: https://login.example.com/realms/acme https://other.example.com
  https://login.example.com/realms/acme: for tollgate account, user in sub, organizations: only those in organization, system administrators: tollgate-admin in realm_access.roles, people log in as client web, with a secret
  https://other.example.com: for tollgate, user in email, organizations: all of the user's, system administrators: nobody, nobody logs in here
sessions: cookie session_token, kept in Redis at redis.example.com:6379 as session:<token> for 7200 s, system administrators: admin system_admin
public URL: https://gate.example.com
pages of other sites that may call: https://*.example.com http://localhost:*
trusted proxies: 10.0.0.0/8
rate limits, shared through Redis at redis.example.com:6379: 5 POST, 100 GET, 100 others a minute, of a caller to a route under /api/v1
  calls of an organization: 1000 tokens a minute, 8 calls at once
  calls of an organization on byok: 3 calls a minute`)
    expect(described).not.toContain(LONG_KEY)
    expect(described).not.toContain('secret-word')
  })

  test.each([
    ['REDIS_URL', 'localhost:6379'],
    ['REDIS_URL', 'http://localhost:6379'],
    ['REDIS_URL', 'redis://'],
  ])('check-config refuses %s=%s, naming the variable.', (name, value) => {
    const { config, problems } = loadConfig(
      'model_list: []',
      'config.yaml',
      { [name]: value },
      { embedded: true, providers: PROVIDERS },
    )
    expect(config).toBeNull()
    expect(problems.map(formatProblem)).toContain(
      'config.yaml: the environment variable REDIS_URL is not the URL of a Redis. Fix: write redis://:password@host:6379/0',
    )
  })
})
