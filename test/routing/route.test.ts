import { describe, expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { formatProblem, loadConfig } from '../../src/config/load.ts'
import { createRouter, type Router } from '../../src/routing/route.ts'

/** A router for `name -> model` pairs, in order. */
function routerOf(
  pairs: [string, string][],
  alias: Record<string, string> = {},
  env: Record<string, string> = {},
): Router {
  const model_list = pairs.map(([model_name, model]) => ({ model_name, litellm_params: { model } }))
  const text = JSON.stringify({ model_list, router_settings: { model_group_alias: alias } })
  const { config, problems } = loadConfig(text, 'c', env, { embedded: true, providers: PROVIDERS })
  if (config === null) throw new Error(problems.map(formatProblem).join('\n'))
  return createRouter(config)
}

function upstream(router: Router, model: string): string[] | null {
  const found = router.route(model)
  return found && [found.modelGroup, ...found.candidates.map(({ deployment: d }) => `${d.provider}:${d.upstreamModel}`)]
}

describe('route', () => {
  test('A route is found by alias, then by exact name, then by wildcard.', () => {
    const pairs: [string, string][] = [
      ['gpt-4o', 'openai/gpt-4o'],
      ['fast', 'groq/llama'],
      ['openai/*', 'openai/*'],
    ]
    const router = routerOf(pairs, { 'gpt-4o': 'fast', best: 'openai/gpt-5', loop: 'best', gone: 'nothing' })
    expect(upstream(router, 'gpt-4o')).toEqual(['fast', 'groq:llama'])
    expect(upstream(router, 'best')).toEqual(['openai/gpt-5', 'openai:gpt-5'])
    expect(upstream(router, 'loop')).toBeNull()
    expect(upstream(router, 'gone')).toBeNull()
    expect(upstream(router, 'openai/gpt-4o')).toEqual(['openai/gpt-4o', 'openai:gpt-4o'])
  })

  test('A group keeps all its deployments in the file’s order.', () => {
    const router = routerOf([
      ['m', 'openai/a'],
      ['x', 'openai/x'],
      ['m', 'groq/b'],
      ['w-*', 'openai/*'],
      ['w-*', 'groq/g-*'],
    ])
    expect(upstream(router, 'm')).toEqual(['m', 'openai:a', 'groq:b'])
    expect(upstream(router, 'w-1')).toEqual(['w-1', 'openai:1', 'groq:g-1'])
  })

  test('The most specific wildcard wins, whatever the order.', () => {
    const pairs: [string, string][] = [
      ['*', 'openrouter/*'],
      ['openai/*', 'openai/*'],
      ['openai/gpt-*', 'groq/gpt-*'],
      ['openai/gpt-*-*', 'xai/*+*'],
      ['openai/gpt-*-mini', 'gemini/*'],
    ]
    for (const order of [pairs, pairs.toReversed()]) {
      const router = routerOf(order)
      expect(upstream(router, 'mistral')).toEqual(['mistral', 'openrouter:mistral'])
      expect(upstream(router, 'openai/o3')).toEqual(['openai/o3', 'openai:o3'])
      expect(upstream(router, 'openai/gpt-5')).toEqual(['openai/gpt-5', 'groq:gpt-5'])
      expect(upstream(router, 'openai/gpt-4o-mini')).toEqual(['openai/gpt-4o-mini', 'gemini:4o'])
    }
  })

  test('Several stars of a route are put in place in order.', () => {
    const router = routerOf([
      ['team-*/*/v*', 'openrouter/*/*:*'],
      ['fixed-*', 'openai/gpt-4o'],
    ])
    expect(upstream(router, 'team-a/llama-3/v2')).toEqual(['team-a/llama-3/v2', 'openrouter:a/llama-3:2'])
    expect(upstream(router, 'team-a/b/c/v2')).toEqual(['team-a/b/c/v2', 'openrouter:a/b/c:2'])
    expect(upstream(router, 'fixed-x')).toEqual(['fixed-x', 'openai:gpt-4o'])
    expect(upstream(router, 'team-a/v2')).toBeNull()
  })

  test('A bare name is tried again under its provider.', () => {
    const router = routerOf([
      ['openai/*', 'openai/*'],
      ['anthropic/claude-opus-5', 'anthropic/claude-opus-5'],
      ['gemini/*', 'gemini/*'],
      ['xai/*', 'xai/*'],
    ])
    expect(upstream(router, 'gpt-4o-mini')).toEqual(['openai/gpt-4o-mini', 'openai:gpt-4o-mini'])
    expect(upstream(router, 'o3')).toEqual(['openai/o3', 'openai:o3'])
    expect(upstream(router, 'claude-opus-5')).toEqual(['anthropic/claude-opus-5', 'anthropic:claude-opus-5'])
    expect(upstream(router, 'claude-opus-4')).toBeNull()
    expect(upstream(router, 'gemini-3')).toEqual(['gemini/gemini-3', 'gemini:gemini-3'])
    expect(upstream(router, 'grok-4')).toEqual(['xai/grok-4', 'xai:grok-4'])
    expect(upstream(router, 'llama')).toBeNull()
  })

  test('* to * serves names with and without prefix.', () => {
    const router = routerOf([['*', '*']])
    expect(upstream(router, 'gpt-4o')).toEqual(['openai/gpt-4o', 'openai:gpt-4o'])
    expect(upstream(router, 'groq/openai/gpt-oss-20b')).toEqual(['groq/openai/gpt-oss-20b', 'groq:openai/gpt-oss-20b'])
    expect(upstream(router, 'mystery')).toBeNull()
  })

  test('A prefix is not sent to the provider whose prefix it is.', () => {
    expect(upstream(routerOf([['*', 'openai/*']]), 'openai/gpt-4o')).toEqual(['openai/gpt-4o', 'openai:gpt-4o'])
    expect(upstream(routerOf([['*', 'openrouter/*']]), 'openrouter/auto')).toEqual([
      'openrouter/auto',
      'openrouter:openrouter/auto',
    ])
  })

  test.each(['', 'openai/', 'openai/*', '*', 'nothing', '__proto__', `openai/${'x'.repeat(600)}`])(
    '%j finds no route.',
    (model) => {
      expect(upstream(routerOf([['openai/*', 'openai/*']]), model)).toBeNull()
    },
  )
})

describe('listModels', () => {
  test('The list has concrete names and aliases that lead somewhere, wildcards only where there is a key, and no pattern.', () => {
    const router = routerOf(
      [
        ['demo', 'openai/gpt-4o'],
        ['openai/*', 'openai/*'],
        ['groq/*', 'groq/*'],
        ['demo', 'groq/x'],
      ],
      { a: 'demo', b: 'nothing' },
      { GROQ_API_KEY: 'k' },
    )
    const names = router.listModels()
    expect(names[0]).toBe('demo')
    expect(names.at(-1)).toBe('a')
    expect(names).toContain('groq/llama-3.3-70b-versatile')
    expect(names.filter((name) => name.includes('*') || name.startsWith('openai/'))).toEqual([])
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) expect(router.route(name)).not.toBeNull()
  })

  test('A narrower wildcard lists what it can serve, under its own names.', () => {
    const names = routerOf(
      [
        ['my-*', 'openai/gpt-4o-*'],
        ['*-x', 'openai/gpt-4o'],
      ],
      {},
      { OPENAI_API_KEY: 'k' },
    ).listModels()
    expect(names).toContain('my-mini')
    expect(names.every((name) => name.startsWith('my-'))).toBe(true)
  })

  test('Gemini is listed without Vertex AI’s models, Hugging Face by server.', () => {
    const names = routerOf(
      [
        ['gemini/*', 'gemini/*'],
        ['huggingface/*', 'huggingface/*'],
      ],
      {},
      { GEMINI_API_KEY: 'k', HF_TOKEN: 'k' },
    ).listModels()
    expect(names).toContain('gemini/gemini-2.5-flash')
    expect(names.filter((name) => name.includes('claude'))).toEqual([])
    expect(names).toContain('huggingface/openai/gpt-oss-20b:groq')
  })
})
