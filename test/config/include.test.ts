/** One configuration in several files, and what a deployment's name leaves open. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { priceOf } from '../../src/commands/unpriced.ts'
import { includesIn } from '../../src/config/include.ts'
import { formatProblem, loadConfig } from '../../src/config/load.ts'
import { createRouter } from '../../src/routing/route.ts'

const MOCK = 'model: openai/gpt-4o, mock_response: hi'
const NOW = new Date('2026-06-01T00:00:00Z')

function read(text: string, includes: { file: string; text: string | null }[] = []) {
  return loadConfig(text, 'config.yaml', {}, { embedded: true, providers: PROVIDERS, includes })
}

describe('include', () => {
  const main = `include: [models.yaml, rules.yaml]
model_list: [{model_name: a, litellm_params: {${MOCK}}}]
litellm_settings: {num_retries: 3, drop_params: true}
`
  const files = [
    {
      file: 'models.yaml',
      text: `environment_variables: {MODEL: gpt-4o}\nmodel_list: [{model_name: b, litellm_params: {${MOCK}}}, {model_name: c, litellm_params: {model: acme/x}}]`,
    },
    { file: 'rules.yaml', text: 'litellm_settings: {num_retries: 5}\ninclude: [more.yaml]' },
  ]

  test('Lists of an included file follow those of the file, and any other setting replaces it whole.', () => {
    const { config } = read(main, files)
    expect(config?.deployments.map(({ modelName }) => modelName)).toEqual(['a', 'b'])
    expect(config).toMatchObject({ numRetries: 5, dropParams: false })
  })

  test('A problem in an included file is reported with its name and line.', () => {
    const said = read(main, files).problems.map(formatProblem)
    expect(said).toContainEqual(
      expect.stringMatching(
        /^models\.yaml:2: model_list\[1\]\.litellm_params\.model: left out: no such provider here: "acme"/,
      ),
    )
    expect(said).toContain('rules.yaml:2: include: accepted, has no effect here. Fix: name it in config.yaml itself')
  })

  test('A file that can not be read stops the start: what it holds may bound something.', () => {
    const { config, problems } = read('include: [gone.yaml]\nmodel_list: []', [{ file: 'gone.yaml', text: null }])
    expect(config).toBeNull()
    expect(problems.map(formatProblem)).toEqual([
      'config.yaml:1: include[0]: this file can not be read. Fix: name one that is there, from the folder of this file',
    ])
  })

  test.each([
    ['include: [a.yaml, b.yaml]', ['a.yaml', 'b.yaml']],
    ['include: a.yaml', ['a.yaml']],
    ['include:', []],
    ['{not yaml', []],
    ['', []],
  ])('The files that %j includes are %j.', (text, names) => {
    expect(includesIn(text)).toEqual(names)
  })

  test('check-config reads included files from the folder of the file.', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tollgate-include-'))
    try {
      await writeFile(join(folder, 'config.yaml'), main)
      for (const { file, text } of files) await writeFile(join(folder, file), text)
      const args = [fileURLToPath(new URL('../../src/main.ts', import.meta.url)), 'check-config', '--config']
      const { stdout } = await promisify(execFile)(process.execPath, [...args, join(folder, 'config.yaml')])
      expect(stdout).toContain('serves: 2 of 3 model groups: a, b')
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('what a name leaves open', () => {
  const one = (params: string, info = '{}') => {
    const { config } = read(`model_list: [{model_name: m, litellm_params: {${params}}, model_info: ${info}}]`)
    if (config === null) throw new Error('no configuration')
    return { config, deployment: config.deployments[0], leftOut: config.leftOut }
  }

  test.each([
    ['model: llama-3, custom_llm_provider: groq', 'groq', 'llama-3'],
    ['model: groq/llama-3, custom_llm_provider: groq', 'groq', 'llama-3'],
    ['model: meta/llama-3, custom_llm_provider: openai', 'openai', 'meta/llama-3'],
  ])('The provider of {%s} is %s.', (params, provider, upstreamModel) => {
    expect(one(`${params}, mock_response: hi`).deployment).toMatchObject({ provider, upstreamModel })
  })

  test('A provider that is named apart and not known here leaves the deployment out.', () => {
    expect(one('model: big/one, custom_llm_provider: acme').leftOut).toEqual([
      { modelName: 'm', why: 'no such provider here: "acme"' },
    ])
  })

  test('A deployment has the price of its base model, wherever that is written.', () => {
    const base = 'model: openai/our-name, api_base: "https://llm.example.com/v1", api_key: none'
    const rates = (params: string, info?: string) => {
      const { config, deployment } = one(params, info)
      return deployment === undefined ? null : (priceOf(config, deployment, NOW)?.tiers[0]?.rates ?? null)
    }
    const listed = rates('model: openai/gpt-4o, mock_response: hi')
    expect(rates(base)).toBeNull()
    expect(rates(`${base}, base_model: gpt-4o`)).toEqual(listed)
    expect(rates(base, '{base_model: openai/gpt-4o}')).toEqual(listed)
    expect(rates(`${base}, base_model: anthropic/claude-sonnet-4-5`)).toEqual(
      rates('model: anthropic/claude-sonnet-4-5, mock_response: hi'),
    )
  })

  test('An api_base that is no URL leaves the deployment out, and repeats no password.', () => {
    expect(one('model: openai/x, api_base: "https://user:planted@host/v1"').leftOut).toEqual([
      { modelName: 'm', why: 'api_base: the URL holds credentials' },
    ])
  })

  test('A hidden alias is called and not listed.', () => {
    const { config } = read(
      `model_list: [{model_name: m, litellm_params: {${MOCK}}}]\nrouter_settings: {model_group_alias: {open: m, secret: {model: m, hidden: true}}}`,
    )
    if (config === null) throw new Error('no configuration')
    const router = createRouter(config)
    expect(router.listModels()).toEqual(['m', 'open'])
    expect(router.route('secret')?.modelGroup).toBe('m')
  })
})
