/** What a provider is asked about a key, where, and what its answers mean; and which addresses are asked at all. */
import { describe, expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { loadConfig } from '../../src/config/load.ts'
import { findKeyFormat } from '../../src/vault/key-formats.ts'
import { createTestKey } from '../../src/vault/test-provider-key.ts'
import { goodKey, keyless, SEVEN_NAMES, useKeysProduct } from '../api/keys-product.ts'
import { expectRefusal } from '../support/error-shape.ts'
import { errorAnswer, jsonAnswer } from '../support/upstream-answers.ts'

const ROUTE = '/api/v1/admin/platform-keys'
const ENVIRONMENT_KEY = 'gsk_environment-0123456789'
const product = useKeysProduct(
  (url) => ({
    models: [keyless('a', 'openai/gpt-4o-mini', url), keyless('b', 'groq/llama-3.3-70b-versatile', url)],
    tollgate: { allowed_addresses: [`127.0.0.2:${new URL(url).port}`] },
  }),
  { GROQ_API_KEY: ENVIRONMENT_KEY },
)

const facts = { keyVariables: [], bareName: null, domain: 'example.com' }
const KNOWN = { anthropic: facts, gemini: facts, ...PROVIDERS }

/** A tester whose every provider is the scripted one. */
function testerAt(apiBase: string) {
  const model_list = SEVEN_NAMES.map((name) => keyless(name, `${findKeyFormat(name)?.provider}/some-model`, apiBase))
  const { config } = loadConfig(JSON.stringify({ model_list }), 'c', {}, { embedded: true, providers: KNOWN })
  if (config === null) throw new Error('expected a config')
  return createTestKey(config)
}

function formatOf(name: string) {
  const format = findKeyFormat(name)
  if (format === null) throw new Error(name)
  return format
}

describe('the question', () => {
  test.each([
    ['openrouter', '/v1/key', 'authorization', 'Bearer '],
    ['openai', '/v1/models', 'authorization', 'Bearer '],
    ['anthropic', '/v1/models', 'x-api-key', ''],
    ['huggingface', '/v1/whoami-v2', 'authorization', 'Bearer '],
    ['groq', '/v1/models', 'authorization', 'Bearer '],
    ['xai', '/v1/models', 'authorization', 'Bearer '],
    ['google', '/v1/models', 'x-goog-api-key', ''],
  ])(
    'The question whether a key is good is, to %s, GET %s with the key in %s alone.',
    async (name, path, header, before) => {
      const { upstream } = product
      upstream.respond(jsonAnswer({ data: [] }))
      const result = await testerAt(upstream.url)(formatOf(name), goodKey(name))
      expect(result).toMatchObject({ ok: true, status_code: 200, detail: `${formatOf(name).label} accepts the key.` })
      const { method, path: asked, headers } = upstream.requests.at(-1)!
      expect([method, asked]).toEqual(['GET', path])
      const { [header]: sent, ...others } = headers
      expect(sent).toBe(`${before}${goodKey(name)}`)
      expect(JSON.stringify(others)).not.toContain(goodKey(name))
    },
  )

  test.each([
    ['anthropic', '/v1/models'],
    ['google', '/v1beta/models'],
  ])('The question whether a key is good is, to %s at a bare host, GET %s.', async (name, path) => {
    const { upstream } = product
    upstream.respond(jsonAnswer({ data: [] }))
    await testerAt(new URL(upstream.url).origin)(formatOf(name), goodKey(name))
    expect(upstream.requests.at(-1)?.path).toBe(path)
  })
})

test.each([
  ['openai', 401, /^OpenAI rejects the key/],
  ['openai', 403, /^OpenAI rejects the key/],
  ['openai', 400, /does not tell whether the key is valid/],
  ['xai', 400, /^X\.AI rejects the key/],
  ['google', 400, /^Google AI rejects the key/],
  ['openrouter', 402, /no credit left/],
  ['groq', 429, /limits how often/],
  ['openai', 503, /failed with status 503/],
  ['openai', 302, /status 302/],
])('%s responds with %i to the question whether a key is good.', async (name, status, detail) => {
  const { upstream } = product
  const location = { location: `${upstream.url}/elsewhere` }
  upstream.respond(errorAnswer(status, { message: goodKey(name) }, status === 302 ? { headers: location } : {}))
  const before = upstream.requests.length
  const result = await testerAt(upstream.url)(formatOf(name), goodKey(name))
  expect(result).toMatchObject({ ok: false, status_code: status, detail: expect.stringMatching(detail) })
  expect(JSON.stringify(result)).not.toContain(goodKey(name))
  // A redirect is not followed.
  expect(upstream.requests).toHaveLength(before + 1)
})

test.each(['hangUp', 'nobody'])('A provider that gives no response (%s) is a result too.', async (how) => {
  product.upstream.respond('hangUp')
  const tester = testerAt(how === 'nobody' ? 'http://127.0.0.1:9/v1' : product.upstream.url)
  expect(await tester(formatOf('openai'), goodKey('openai'))).toMatchObject({ ok: false, status_code: null })
})

describe('the route', () => {
  const run = (name: string, body?: unknown) => product.send('POST', `${ROUTE}/${name}/test`, body)

  test('The route that tests a provider key tests what is stored, else what the environment has, else what is sent.', async () => {
    product.upstream.respond(jsonAnswer({ data: [] }))
    const sent = () => product.upstream.requests.at(-1)?.headers.authorization
    expect((await run('groq')).json()).toEqual({
      ok: true,
      key_type: 'groq',
      source: 'environment',
      status_code: 200,
      latency_ms: expect.any(Number),
      detail: 'Groq accepts the key.',
    })
    expect(sent()).toBe(`Bearer ${ENVIRONMENT_KEY}`)
    await product.send('PUT', `${ROUTE}/groq`, { api_key: goodKey('groq') })
    expect((await run('groq')).json()).toMatchObject({ ok: true, source: 'database' })
    expect(sent()).toBe(`Bearer ${goodKey('groq')}`)
    expect((await run('groq', { api_key: `${goodKey('groq')}2` })).json()).toMatchObject({ source: 'request' })
    expect(sent()).toBe(`Bearer ${goodKey('groq')}2`)
    const none = await run('openai')
    expect([none.status, none.json().detail]).toEqual([404, 'OpenAI API key not configured'])
  })

  test('The route that tests a provider key asks no private address, and sends a stored key to none but the provider’s.', async () => {
    const { upstream } = product
    upstream.respond(jsonAnswer({ data: [] }))
    await product.send('PUT', `${ROUTE}/openai`, { api_key: goodKey('openai') })
    const before = upstream.requests.length
    for (const api_base of [upstream.url, 'http://169.254.169.254/v1', 'http://[::1]/v1', 'http://2130706433/v1']) {
      expectRefusal(await run('openai', { api_base, api_key: goodKey('openai') }), {
        status: 400,
        code: 'address_not_allowed',
      })
    }
    const listed = upstream.url.replace('127.0.0.1', '127.0.0.2')
    // Nobody listens there, but it may be asked: with a key that is sent along.
    const asked = await run('openai', { api_base: listed, api_key: goodKey('openai') })
    expect([asked.status, asked.json()]).toMatchObject([200, { ok: false, status_code: null, source: 'request' }])
    expectRefusal(await run('openai', { api_base: listed }), {
      status: 422,
      code: 'invalid_request',
      param: 'api_base',
    })
    expect(upstream.requests).toHaveLength(before)
  })

  test('The route that tests a provider key works ten times a minute.', async () => {
    product.upstream.respond(jsonAnswer({ data: [] }))
    // Other tests of this file may have asked in this minute too.
    for (let i = 0; i < 10; i++) await run('groq')
    const refused = await run('groq')
    expect([refused.status, refused.json().detail]).toEqual([429, 'Rate limit exceeded. Maximum 10 tests per minute.'])
  })
})
