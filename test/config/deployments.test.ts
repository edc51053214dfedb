import { describe, expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { formatProblem, loadConfig } from '../../src/config/load.ts'

function loaded(text: string) {
  const { config, problems } = loadConfig(text, 'c', {}, { embedded: true, providers: PROVIDERS })
  if (config === null) throw new Error(problems.map(formatProblem).join('\n'))
  return {
    deployments: config.deployments,
    problems: problems.filter(({ quiet }) => quiet !== true).map(formatProblem),
  }
}

describe('providers', () => {
  test.each([
    ['gpt-4o', 'openai', 'gpt-4o'],
    ['chatgpt-4o-latest', 'openai', 'chatgpt-4o-latest'],
    ['o3', 'openai', 'o3'],
    ['o4-mini', 'openai', 'o4-mini'],
    ['ft:gpt-4o:org::id', 'openai', 'ft:gpt-4o:org::id'],
    ['claude-opus-5', 'anthropic', 'claude-opus-5'],
    ['gemini-3-flash-preview', 'gemini', 'gemini-3-flash-preview'],
    ['grok-4', 'xai', 'grok-4'],
    ['xai/grok-4', 'xai', 'grok-4'],
    ['groq/openai/gpt-oss-20b', 'groq', 'openai/gpt-oss-20b'],
    ['openrouter/auto', 'openrouter', 'auto'],
  ])('The provider of %s is %s.', (model, provider, upstreamModel) => {
    const { deployments } = loaded(
      `model_list: [{model_name: m, litellm_params: {model: "${model}", mock_response: hi}}]`,
    )
    expect(deployments[0]).toMatchObject({ provider, upstreamModel })
  })

  test.each(['google/gemini-3', 'bedrock/claude', 'o0', 'llama', 'openai/', 'constructor/x'])(
    'A deployment whose provider is given as %s is left out.',
    (model) => {
      const { config } = loadConfig(
        `model_list: [{model_name: m, litellm_params: {model: "${model}"}}]`,
        'c',
        {},
        { embedded: true, providers: PROVIDERS },
      )
      expect(config?.deployments).toEqual([])
      expect(config?.leftOut.map(({ modelName }) => modelName)).toEqual(['m'])
    },
  )

  test('* to * stands for every provider that has an address and no wildcard of its own.', () => {
    const { deployments } = loaded(`model_list:
  - {model_name: "*", litellm_params: {model: "*"}}
  - {model_name: groq/*, litellm_params: {model: groq/*}}`)
    const others = Object.keys(PROVIDERS).filter(
      (provider) => provider !== 'groq' && PROVIDERS[provider]?.baseVariable === undefined,
    )
    expect(deployments.map(({ modelName, upstreamModel }) => [modelName, upstreamModel])).toEqual(
      [...others, 'groq'].map((provider) => [`${provider}/*`, '*']),
    )
    expect(new Set(deployments.map(({ id }) => id)).size).toBe(others.length + 1)
  })

  test('* to * with one key for all is left out.', () => {
    const { config, problems } = loadConfig(
      'model_list: [{model_name: "*", litellm_params: {model: "*", api_key: os.environ/K}}]',
      'c',
      {},
      { embedded: true, providers: PROVIDERS },
    )
    expect(problems.map(({ message }) => message)).toEqual([
      'left out: can\'t tell the provider of "*", so api_key would go to every provider',
    ])
    expect(config?.deployments).toEqual([])
  })
})

describe('request defaults', () => {
  test('A deployment has allowed_openai_params of its own beside those of all.', () => {
    const mock = 'model: openai/gpt-4o, mock_response: hi'
    const { deployments, problems } = loaded(`model_list:
  - {model_name: a, litellm_params: {${mock}, allowed_openai_params: [num_ctx, 'messages[].prefix', think]}}
  - {model_name: b, litellm_params: {${mock}}}
litellm_settings: {allowed_openai_params: [num_ctx, best_of]}`)
    expect(deployments.map(({ allowedParams }) => allowedParams)).toEqual([
      ['num_ctx', 'best_of', 'messages[].prefix', 'think'],
      ['num_ctx', 'best_of'],
    ])
    expect(problems).toEqual([])
  })

  test('Request defaults may be parameters and extra_body, never what the caller decides.', () => {
    const { deployments, problems } = loaded(`model_list:
  - model_name: m
    litellm_params:
      model: openai/x
      mock_response: hi
      n: "2"
      stop: [a, b]
      response_format: {type: json_object}
      stream: true
      tempreature: 1
      extra_body: {provider: {order: [x]}, model: other, __proto__: {a: 1}}
`)
    expect(Object.entries(deployments[0]?.defaults ?? {})).toEqual([
      ['n', 2],
      ['stop', ['a', 'b']],
      ['response_format', { type: 'json_object' }],
      ['provider', { order: ['x'] }],
      ['__proto__', { a: 1 }],
    ])
    expect(problems).toEqual([
      'c:9: model_list[0].litellm_params.stream: accepted, has no effect here. Fix: nothing to do; it may be left out',
      'c:10: model_list[0].litellm_params.tempreature: unknown setting, ignored. Fix: check the spelling; a parameter only the provider knows goes under extra_body',
      'c:11: model_list[0].litellm_params.extra_body.model: accepted, has no effect here. Fix: it is the caller who decides this; leave it out',
    ])
  })
})
