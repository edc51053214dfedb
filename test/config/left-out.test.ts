/** A file people have starts: what can't be served here is left out by name, and what protects nobody is said. */
import { describe, expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { findRoute } from '../../src/call/admit.ts'
import type { Config } from '../../src/config/config.ts'
import { formatProblem, loadConfig } from '../../src/config/load.ts'
import { problemLines } from '../../src/config/problem-lines.ts'
import type { Env } from '../../src/config/source.ts'
import { createRouter } from '../../src/routing/route.ts'

function read(text: string, env: Env = {}) {
  const { config, problems } = loadConfig(text, 'config.yaml', env, { embedded: false, providers: PROVIDERS })
  if (config === null) throw new Error(problems.map(formatProblem).join('\n'))
  return { config, problems, lines: problemLines(problems) }
}

function entry(name: string, params: string): string {
  return `  - {model_name: "${name}", litellm_params: {${params}}}\n`
}

const MOCK = 'model: openai/gpt-4o, mock_response: hi'

describe('what can not be served', () => {
  test('A deployment of an unknown provider is left out, and its siblings serve its group.', () => {
    const { config } = read(`model_list:\n${entry('chat', 'model: acme/large')}${entry('chat', MOCK)}`)
    expect(config.deployments.map(({ modelName, provider }) => [modelName, provider])).toEqual([['chat', 'openai']])
    expect(config.leftOut).toEqual([{ modelName: 'chat', why: 'no such provider here: "acme"' }])
    expect(createRouter(config).route('chat')?.candidates).toHaveLength(1)
    expect(createRouter(config).whyNot('chat')).toBeNull()
  })

  test('A call of a group that has no deployment left is a 404 that says why, also by an alias.', () => {
    const { config } = read(
      `model_list:\n${entry('a', 'model: acme/x')}${entry('b', MOCK)}router_settings: {model_group_alias: {old: a}}`,
    )
    const router = createRouter(config)
    for (const name of ['a', 'old'])
      expect(() => findRoute(router, name)).toThrow(
        expect.objectContaining({
          status: 404,
          code: 'model_not_found',
          message: `The model "${name}" can't be served here: no such provider here: "acme". Its operator can change that. GET /v1/models lists what there is.`,
        }),
      )
    expect(router.listModels()).toEqual(['b'])
  })

  test('A wildcard that is left out keeps its names from a wildcard that is less specific.', () => {
    const { config } = read(
      `model_list:\n${entry('acme/*', 'model: acme/*')}${entry('*', 'model: openai/*, mock_response: hi')}`,
    )
    const router = createRouter(config)
    expect(router.route('acme/large')).toBeNull()
    expect(router.whyNot('acme/large')).toBe('no such provider here: "acme"')
    expect(router.route('other')?.candidates[0]?.deployment.upstreamModel).toBe('other')
  })

  test('A group that has no deployment left is served by what stands in for it.', () => {
    const { config } = read(
      `model_list:\n${entry('a', 'model: acme/x')}${entry('b', 'model: acme/y')}${entry('c', MOCK)}litellm_settings: {fallbacks: [{a: [b, c]}]}`,
    )
    const router = createRouter(config)
    expect(router.route('a')).toMatchObject({ modelGroup: 'c', candidates: [{ group: 'c' }] })
    expect([router.whyNot('a'), router.whyNot('b')]).toEqual([null, 'no such provider here: "acme"'])
  })

  test('A model that an unset variable should name is left out.', () => {
    const { config, lines } = read(`model_list:\n${entry('a', 'model: os.environ/MODEL_A')}`)
    expect(config.leftOut.map(({ why }) => why)).toEqual(['the environment variable MODEL_A names no model'])
    expect(lines).toContain(
      'config.yaml:2: model_list[0].litellm_params.model: left out: the environment variable MODEL_A names no model. Fix: set MODEL_A before the start',
    )
  })

  test('Three hundred deployments of one unknown provider are one line.', () => {
    const many = Array.from({ length: 300 }, (_, index) => entry(`m${index}`, `model: acme/m${index}`)).join('')
    const { lines } = read(`model_list:\n${many}`)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('left out: no such provider here: "acme"')
    expect(lines[0]).toContain('(also lines 3, 4, 5, 6 and 295 more)')
  })

  test('A list under drop_params is read as true.', () => {
    const { config } = read(`model_list:\n${entry('a', `${MOCK}, drop_params: [tool_choice]`)}`)
    expect(config.deployments[0]?.dropParams).toBe(true)
  })
})

describe('protection that is not enforced', () => {
  const named = (text: string) =>
    read(`model_list: []\n${text}`).problems.flatMap(({ unenforced, line }) => (unenforced ? [[unenforced, line]] : []))

  test.each([
    ['litellm_settings: {max_internal_user_budget: 5}', 'max_internal_user_budget'],
    ['litellm_settings: {cost_margin_config: {openai: 0.1}}', 'cost_margin_config'],
    [
      'litellm_settings: {default_internal_user_params: {user_role: internal_user, max_budget: 5}}',
      'default_internal_user_params',
    ],
    ['litellm_settings: {default_team_settings: [{team_id: a, max_budget: 5}]}', 'default_team_settings'],
    ['litellm_settings: {callbacks: [my_hooks.handler]}', 'callbacks'],
    ['litellm_settings: {callbacks: presidio}', 'callbacks'],
    ['litellm_settings: {upperbound_key_generate_params: {max_budget: 1}}', 'upperbound_key_generate_params'],
    ['general_settings: {allowed_ips: ["10.0.0.1"]}', 'allowed_ips'],
    ['general_settings: {custom_auth: my_auth.check}', 'custom_auth'],
    ['general_settings: {enforce_user_param: true}', 'enforce_user_param'],
    [
      'router_settings: {provider_budget_config: {openai: {budget_limit: 1, time_period: 1d}}}',
      'provider_budget_config',
    ],
    ['router_settings: {optional_pre_call_checks: [enforce_model_rate_limits]}', 'optional_pre_call_checks'],
    ['guardrails: [{guardrail_name: pii, litellm_params: {guardrail: presidio, mode: pre_call}}]', 'guardrails'],
    ['policies: {strict: {}}', 'policies'],
    ['general_settings: {master_key: sk-1234}', 'master_key'],
  ])('%s is said to protect nobody here.', (text, name) => {
    expect(named(text)).toEqual([[name, 2]])
  })

  test('A deployment for one team, with a budget or with guardrails is said to be for everybody.', () => {
    const text = `model_list:
  - model_name: a
    litellm_params: {${MOCK}, max_budget: 5, guardrails: [pii]}
    model_info: {team_id: red}
`
    expect(read(text).problems.map(({ unenforced }) => unenforced)).toEqual(['max_budget', 'guardrails', 'team_id'])
  })

  test.each([
    'litellm_settings: {max_budget: 0}',
    'litellm_settings: {callbacks: [otel, prometheus]}',
    'litellm_settings: {default_team_settings: [{team_id: a, success_callback: [langfuse]}]}',
    'general_settings: {enforce_user_param: false, allowed_ips: []}',
    'router_settings: {optional_pre_call_checks: [prompt_caching]}',
    'guardrails: []',
  ])('%s protects nothing, so nothing is said to be missing.', (text) => {
    expect(named(text)).toEqual([])
  })

  test('A configuration whose protections are not enforced is whole: whoever starts decides.', () => {
    const config: Config = read('model_list: []\nlitellm_settings: {max_internal_user_budget: 1}').config
    expect(config.warnings.map(({ severity }) => severity)).toEqual(['warning'])
  })
})
