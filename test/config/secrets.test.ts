import { describe, expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { describeConfig, formatProblem, loadConfig } from '../../src/config/load.ts'
import { weaknessOf } from '../../src/config/master-key.ts'
import type { Env } from '../../src/config/source.ts'

const STRONG = 'sk-Vq7mZx2Lw9Rt4Yb8Nc6H'

const deployment = (params: string): string =>
  `model_list:\n  - model_name: m\n    litellm_params: {model: openai/gpt-4o, ${params}}\n`

function only(text: string, env: Env = {}) {
  const { config, problems } = loadConfig(text, '/etc/tollgate/config.yaml', env, {
    embedded: true,
    providers: PROVIDERS,
  })
  const [first] = config?.deployments ?? []
  if (first === undefined) throw new Error(problems.map(formatProblem).join('\n'))
  return { ...first, said: problems.map(({ message, quiet }) => `${quiet ? 'q ' : ''}${message}`) }
}

describe('keys', () => {
  test('A literal key works and is warned about.', () => {
    expect(only(deployment('api_key: sk-literal'))).toMatchObject({
      apiKey: 'sk-literal',
      apiKeySource: 'config.yaml',
      said: ['a key is written into the file'],
    })
  })

  test('A missing variable falls back to the provider’s own, and is named.', () => {
    expect(only(deployment('api_key: os.environ/NOPE'), { OPENAI_API_KEY: 'k\n' })).toMatchObject({
      apiKey: 'k',
      apiKeySource: 'OPENAI_API_KEY',
      said: ['the environment variable NOPE is not set'],
    })
  })

  test('An empty variable is a missing one; without any key the deployment is for callers who bring theirs.', () => {
    expect(only(deployment('api_key: null'), { OPENAI_API_KEY: '' })).toMatchObject({
      apiKey: null,
      apiKeySource: null,
      said: ['no key for openai: only callers with a key of their own can use it'],
    })
  })

  test('A wildcard or a mock without a key is not reported at start.', () => {
    const wildcard =
      'model_list: [{model_name: "x-*", litellm_params: {model: "openai/*", api_key: os.environ/OPENAI_API_KEY}}]'
    expect(only(wildcard).said).toEqual(['q the environment variable OPENAI_API_KEY is not set'])
    expect(only(deployment('mock_response: hi')).said).toEqual([])
  })

  test('The file’s own variables count, before the environment.', () => {
    const text = `environment_variables: {A: from-file, B: os.environ/C}\n${deployment('api_key: os.environ/A, organization: os.environ/B')}`
    const env = { A: 'from-env', C: 'org-c' }
    expect(only(text, env)).toMatchObject({ apiKey: 'from-file', apiKeySource: 'A', organization: 'org-c' })
    expect(env).toEqual({ A: 'from-env', C: 'org-c' })
  })

  test('The standard key goes to its provider and to this machine, not to another host.', () => {
    const env = { OPENAI_API_KEY: 'k' }
    expect(only(deployment('api_base: "https://eu.api.openai.com/v1"'), env).apiKey).toBe('k')
    expect(only(deployment('api_base: "http://127.0.0.1:8080/v1/"'), env)).toMatchObject({
      apiKey: 'k',
      apiBase: 'http://127.0.0.1:8080/v1',
    })
    expect(only(deployment('api_base: "https://notopenai.com/v1"'), env)).toMatchObject({
      apiKey: null,
      said: ["no key: OPENAI_API_KEY goes to openai's own hosts over https, and to this machine, only"],
    })
    expect(only(deployment('api_base: "http://api.openai.com/v1"'), env)).toMatchObject({
      apiKey: null,
      trustedHost: false,
      said: ["no key: OPENAI_API_KEY goes to openai's own hosts over https, and to this machine, only"],
    })
    expect(
      only(deployment('api_base: "https://notopenai.com/v1", api_key: os.environ/OPENAI_API_KEY'), env).apiKey,
    ).toBe('k')
  })

  test('A key that cannot be sent stops the start.', () => {
    const { config, problems } = loadConfig(
      deployment('api_key: os.environ/K'),
      'config.yaml',
      { K: 'two words' },
      { embedded: true, providers: PROVIDERS },
    )
    expect(config).toBeNull()
    expect(problems.map(formatProblem)).toEqual([
      "config.yaml:3: model_list[0].litellm_params.api_key: the key holds characters that can't be sent in a header. Fix: copy it again, without spaces, quotes or line breaks",
    ])
  })
})

describe('base URLs and headers', () => {
  test.each(['ftp://x/v1', 'not a url', 'https://user:pw@x/v1', 'https://x/v1?a=b'])(
    'A deployment at the base URL %s is left out.',
    (base) => {
      const { config, problems } = loadConfig(
        deployment(`api_base: "${base}"`),
        'c',
        {},
        { embedded: true, providers: PROVIDERS },
      )
      expect([config?.deployments, config?.leftOut.length]).toEqual([[], 1])
      expect(JSON.stringify([problems, config?.leftOut])).not.toContain(base)
    },
  )

  test('Headers are texts that can be sent.', () => {
    const { extraHeaders } = only(
      deployment('api_key: os.environ/K, extra_headers: {X-Team: os.environ/T, X-Gone: os.environ/G, X-N: 7}'),
      { K: 'k', T: 't' },
    )
    expect(extraHeaders).toEqual({ 'X-Team': 't', 'X-N': '7' })
    const bad = loadConfig(
      deployment('extra_headers: {"X Y": a, Host: b, X-L: "a\\nb", X-M: [1]}'),
      'c',
      {},
      { embedded: true, providers: PROVIDERS },
    )
    expect(bad.problems.filter(({ severity }) => severity === 'error')).toHaveLength(4)
  })
})

describe('secrets stay where they are', () => {
  const SECRET = 'sk-PLANTEDplantedPLANTED0123456789'

  test('Secrets are in no problem, description or id.', () => {
    const env = { FROM_ENV: SECRET, DATABASE_URL: `postgres://u:${SECRET}@h/d` }
    const text = `environment_variables: {X: ${SECRET}, Y: [${SECRET}]}
model_list:
  - model_name: a
    litellm_params: {model: openai/a, api_key: ${SECRET}, api_base: "https://u:${SECRET}@h/v1", timeout: ${SECRET}}
  - model_name: b
    litellm_params: {model: openai/b, api_key: [${SECRET}], timeout: os.environ/FROM_ENV, extra_headers: {A: "${SECRET}\\n", B: ["${SECRET}"]}}
  - model_name: c
    litellm_params: {model: ${SECRET}, ${SECRET}: 1, rpm: ${SECRET}, max_tokens: ${SECRET}}
general_settings: {master_key: {a: ${SECRET}}, database_url: "mysql://u:${SECRET}@h/d"}
tollgate: {plans: {platform: ${SECRET}}, ${SECRET}: 1}
`
    const { config, problems } = loadConfig(text, 'config.yaml', env, { embedded: false, providers: PROVIDERS })
    expect(config).toBeNull()
    expect(problems.length).toBeGreaterThan(13)
    expect(JSON.stringify(problems)).not.toMatch(/PLANTED/i)
    expect(problems.map(formatProblem).join('\n')).not.toMatch(/PLANTED/i)
  })

  test.each([
    `a: "${SECRET}`,
    `a: "${SECRET}" ${SECRET}`,
    `a: b\n  c: ${SECRET}`,
    `${SECRET}`,
    `a: !x ${SECRET}`,
    `a: @${SECRET}`,
  ])('Secrets are in no YAML error.', (text) => {
    expect(JSON.stringify(loadConfig(text, 'c', {}, { embedded: true, providers: PROVIDERS }).problems)).not.toMatch(
      /PLANTED/i,
    )
  })

  test('Secrets are in no description.', () => {
    const text = `${deployment(`api_key: ${SECRET}, extra_headers: {Authorization: ${SECRET}}`)}general_settings: {master_key: ${SECRET}}\n`
    const { config } = loadConfig(text, 'config.yaml', {}, { embedded: true, providers: PROVIDERS })
    if (config === null) throw new Error('expected a config')
    expect(config.masterKey).toBe(SECRET)
    expect(describeConfig(config) + JSON.stringify(config.warnings) + config.deployments[0]?.id).not.toMatch(/PLANTED/i)
  })

  test('The id depends on what is written, not on the value of a variable.', () => {
    const id = (params: string, env: Env = {}) => only(deployment(params), env).id
    expect(id('api_key: os.environ/K', { K: 'one' })).toMatch(/^mdl_[0-9a-f]{16}$/)
    expect(id('api_key: os.environ/K', { K: 'one' })).toBe(id('api_key: os.environ/K', { K: 'two' }))
    expect(id('rpm: 1, api_key: os.environ/K')).toBe(id('api_key: os.environ/K, rpm: 1'))
    expect(id('api_key: one')).not.toBe(id('api_key: two'))
  })

  test('No two deployments share an id.', () => {
    const text = `model_list:
  - {model_name: a, litellm_params: {model: openai/x, mock_response: hi}}
  - {model_name: b, litellm_params: {model: openai/x, mock_response: hi}}
  - {model_name: c, litellm_params: {model: openai/x, mock_response: hi}, model_info: {id: mine}}
  - {model_name: d, litellm_params: {model: openai/x, mock_response: hi}, model_info: {id: mine}}
`
    const { config, problems } = loadConfig(text, 'c', {}, { embedded: true, providers: PROVIDERS })
    const ids = config?.deployments.map(({ id }) => id) ?? []
    expect(ids).toEqual([ids[0], `${ids[0]}-2`, 'mine', 'mine-2'])
    expect(problems.map(({ message }) => message)).toEqual([
      'the deployment id "mine" is used twice; the second is called "mine-2"',
    ])
  })
})

describe('master keys', () => {
  test.each([
    'sk-1234',
    'changeme',
    'sk-litellm-master-key-12345',
    'password',
    'sk-1234567890abcdefghij',
    'sk-aaaaaaaaaaaaaaaaaaaaaaaa',
    'sk-change-me-please-change-me',
    'sk-121212121212121212121212',
    'my-secret-password-secret',
  ])('A master key that is %s stops the start, and is a warning in embedded mode.', (key) => {
    const text = 'general_settings: {master_key: os.environ/MK}'
    const real = loadConfig(text, 'c', { MK: key }, { embedded: false, providers: PROVIDERS })
    expect(real.problems.map(({ unenforced }) => unenforced)).toContain('master_key')
    const embedded = loadConfig(text, 'c', { MK: key }, { embedded: true, providers: PROVIDERS })
    expect(embedded.config?.masterKey).toBe(key)
    expect(embedded.problems.some(({ unenforced }) => unenforced !== undefined)).toBe(false)
    expect(
      embedded.config?.warnings.some(({ message }) => message.startsWith(`the master key ${weaknessOf(key)}`)),
    ).toBe(true)
  })

  test('A database in the file is a real one, whatever the caller thought.', () => {
    const text = 'general_settings: {master_key: sk-1234, database_url: "postgres://h/d"}'
    const { problems } = loadConfig(text, 'c', {}, { embedded: true, providers: PROVIDERS })
    expect(problems.map(({ unenforced }) => unenforced)).toContain('master_key')
  })

  test.each([STRONG, 'sk-0f3a9c1e5b7d2846a0c4', 'sk-litellm-0f3a9c1e5b7d2846'])(
    'The master key %s is strong.',
    (key) => {
      expect(weaknessOf(key)).toBeNull()
    },
  )

  test('A master key comes from the environment when the file has none; the file wins.', () => {
    const masterKey = (text: string, env: Env) =>
      loadConfig(text, 'c', env, { embedded: false, providers: PROVIDERS }).config?.masterKey
    expect(masterKey('', {})).toBeNull()
    expect(masterKey('', { LITELLM_MASTER_KEY: STRONG })).toBe(STRONG)
    expect(masterKey('', { LITELLM_MASTER_KEY: `${STRONG}L`, TOLLGATE_MASTER_KEY: STRONG })).toBe(STRONG)
    expect(masterKey(`general_settings: {master_key: ${STRONG}F}`, { TOLLGATE_MASTER_KEY: STRONG })).toBe(`${STRONG}F`)
    expect(masterKey('general_settings: {master_key: os.environ/GONE}', { TOLLGATE_MASTER_KEY: STRONG })).toBe(STRONG)
  })

  test('DATABASE_URL wins over the file.', () => {
    const text = 'general_settings: {database_url: "postgres://file/d"}'
    const url = (env: Env) => loadConfig(text, 'c', env, { embedded: false, providers: PROVIDERS }).config?.databaseUrl
    expect(url({})).toBe('postgres://file/d')
    expect(url({ DATABASE_URL: 'postgresql://env/d' })).toBe('postgresql://env/d')
  })
})
