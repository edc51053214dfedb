/** Further names of the one vault: what Ops-Center called provider keys, system keys and, under /api/v1/byok, own keys. */
import { describe, expect, test } from 'vitest'
import { postChat } from '../support/tollgate.ts'
import { chat, errorAnswer, jsonAnswer } from '../support/upstream-answers.ts'
import { goodKey, keyless, SEVEN_NAMES, useKeysProduct } from './keys-product.ts'

const product = useKeysProduct((url) => ({
  models: [keyless('own', 'openai/exact', url, { input_cost_per_token: 0, output_cost_per_token: 0.00002 })],
}))
const PROVIDERS = '/api/v1/llm/providers'
const SYSTEM = '/api/v1/llm/admin/system-keys'
const OWN = '/api/v1/byok'
const KEY = goodKey('openai')
const MASK = `${KEY.slice(0, 7)}...${KEY.slice(-4)}`

async function send(method: string, path: string, body?: unknown, key?: string | null) {
  const answer = await product.send(method, path, body, key)
  return { status: answer.status, json: answer.json() as ReturnType<typeof JSON.parse> }
}

let made = 0
async function member(plan: 'byok' | 'platform' = 'byok') {
  made += 1
  const user = `user-${made}`
  const { keys } = await product.db.seedOrganization({ plan, credits: 10, users: { [user]: 5 } })
  return keys[user] ?? ''
}

describe('Provider keys', () => {
  test('Provider keys are saved, listed, used by the next call, seen under the other names, and deleted.', async () => {
    const caller = await member('platform')
    const messages = [{ role: 'user', content: 'x' }]
    const call = () => postChat(product.tollgate, caller, { model: 'own', messages, max_tokens: 5 })
    expect(
      await send('POST', `${PROVIDERS}/keys`, { provider_type: 'OpenAI', api_key: KEY, name: 'mine', config: {} }),
    ).toEqual({
      status: 200,
      json: {
        success: true,
        provider_id: 'openai',
        name: 'OpenAI',
        provider_type: 'openai',
        has_key: true,
        enabled: true,
        test_result: null,
        message: 'API key saved successfully',
      },
    })
    expect((await call()).status).toBe(200)
    expect(product.upstream.requests.at(-1)?.headers.authorization).toBe(`Bearer ${KEY}`)
    const listed = await send('GET', `${PROVIDERS}/keys`)
    expect(listed.json).toMatchObject({ success: true, total: 7 })
    expect(listed.json.providers.find(({ id }: { id: string }) => id === 'openai')).toEqual({
      id: 'openai',
      name: 'OpenAI',
      provider_type: 'openai',
      has_key: true,
      key_source: 'database',
      enabled: true,
      health_status: 'unknown',
      last_tested: null,
      test_status: null,
      key_preview: MASK,
      config: {},
    })
    const system = (await send('GET', SYSTEM)).json.providers
    expect(system.map(({ id }: { id: string }) => id)).toEqual(SEVEN_NAMES)
    expect(system.find(({ id }: { id: string }) => id === 'openai')).toEqual({
      id: 'openai',
      name: 'OpenAI',
      type: 'openai',
      provider_type: 'openai',
      has_db_key: true,
      has_env_key: false,
      key_source: 'database',
      last_tested: null,
      test_status: null,
      key_preview: MASK,
    })
    const platform = (await send('GET', '/api/v1/admin/platform-keys')).json.keys
    expect(platform.find(({ provider }: { provider: string }) => provider === 'openai')).toMatchObject({
      key_preview: MASK,
    })
    expect(await send('DELETE', `${PROVIDERS}/keys/openai`)).toMatchObject({
      status: 200,
      json: { success: true, provider_id: 'openai' },
    })
    expect(
      (await send('GET', `${PROVIDERS}/keys`)).json.providers.some(({ has_key }: { has_key: boolean }) => has_key),
    ).toBe(false)
  })

  test('Provider keys are tested ten times a minute, with the key that is sent or stored.', async () => {
    expect(await send('POST', `${PROVIDERS}/keys/test`, { provider_type: 'openai' })).toMatchObject({
      status: 400,
      json: { detail: 'No API key configured for provider: openai' },
    })
    product.upstream.respond(jsonAnswer({ data: [] }))
    const good = await send('POST', `${PROVIDERS}/keys/test`, { provider_type: 'openai', api_key: KEY })
    expect(good.json).toEqual({ success: true, latency_ms: expect.any(Number), models_found: null, error: null })
    product.upstream.respond(errorAnswer(401, { message: 'no' }))
    await send('PUT', `${SYSTEM}/openai`, { api_key: KEY })
    const bad = await send('POST', `${PROVIDERS}/keys/test`, { provider_type: 'openai' })
    expect(bad.json).toMatchObject({ success: false, error: expect.stringContaining('rejects the key') })
    const system = await send('POST', `${SYSTEM}/openai/test`)
    expect(system.json).toEqual({
      success: false,
      provider_id: 'openai',
      provider_name: 'OpenAI',
      message: bad.json.error,
      details: { status_code: 401, latency_ms: expect.any(Number) },
    })
    for (let n = 3; n < 10; n += 1) expect((await send('POST', `${SYSTEM}/openai/test`)).status).toBe(200)
    expect(await send('POST', `${PROVIDERS}/keys/test`, { provider_type: 'openai' })).toMatchObject({
      status: 429,
      json: { detail: 'Rate limit exceeded. Maximum 10 tests per minute.' },
    })
    product.upstream.respond(chat())
  })

  test.each([
    [
      'POST',
      `${PROVIDERS}/keys`,
      { provider_type: 'cohere', api_key: 'x'.repeat(40) },
      400,
      /^Invalid provider type\. Supported: openrouter, openai/,
    ],
    [
      'POST',
      `${PROVIDERS}/keys`,
      { provider_type: 'openai', api_key: goodKey('groq') },
      400,
      /^Invalid OpenAI API key format/,
    ],
    [
      'POST',
      `${PROVIDERS}/keys`,
      { provider_type: 'openai', api_key: KEY, config: { base_url: 'http://evil.example' } },
      400,
      /can't be set here/,
    ],
    ['POST', `${PROVIDERS}/keys`, { provider_type: 'openai', api_key: 'short' }, 422, /at least 10/],
    ['POST', `${PROVIDERS}/keys/test`, { provider_type: 'custom' }, 400, /^Invalid provider type/],
    ['DELETE', `${PROVIDERS}/keys/nobody`, undefined, 404, /^Provider not found$/],
    ['PUT', `${SYSTEM}/nobody`, { api_key: KEY }, 404, /^Provider not found$/],
    ['PUT', `${SYSTEM}/openai`, { api_key: 'short' }, 400, /^Invalid API key$/],
    ['PUT', `${SYSTEM}/openai`, {}, 400, /^Invalid API key$/],
    ['POST', `${SYSTEM}/xai/test`, undefined, 400, /^No API key configured$/],
    ['DELETE', `${SYSTEM}/nobody`, undefined, 404, /^Provider not found$/],
  ])('%s %s with %j gets %i.', async (method, path, body, status, says) => {
    expect(await send(method, path, body)).toMatchObject({ status, json: { detail: expect.stringMatching(says) } })
  })

  test('The kinds of provider keys that can be stored are listed with their formats.', async () => {
    const { json } = await send('GET', `${PROVIDERS}/info`)
    expect(json).toMatchObject({ success: true, total: 7 })
    expect(json.providers[2]).toEqual({
      provider_type: 'anthropic',
      display_name: 'Anthropic',
      description: 'Claude models',
      key_format: 'sk-ant-...',
      supports_test: true,
      auth_type: 'x-api-key',
    })
  })

  test('Provider keys are the operator’s: a member gets 403, a stranger 401.', async () => {
    const caller = await member()
    for (const path of [`${PROVIDERS}/keys`, `${PROVIDERS}/info`, SYSTEM]) {
      expect(await send('GET', path, undefined, caller)).toMatchObject({
        status: 403,
        json: { detail: 'Admin access required (current role: owner)' },
      })
      expect((await send('GET', path, undefined, null)).status).toBe(401)
    }
  })
})

describe('System keys', () => {
  test('System keys are set and deleted by the name of the provider, and each change leaves an entry in the audit log.', async () => {
    expect(await send('PUT', `${SYSTEM}/google`, { api_key: ` ${goodKey('google')} ` })).toEqual({
      status: 200,
      json: { success: true, message: 'System key updated successfully', provider_id: 'google' },
    })
    expect(await send('DELETE', `${SYSTEM}/google`)).toEqual({
      status: 200,
      json: {
        success: true,
        message: 'System key deleted (will fall back to environment variable)',
        provider_id: 'google',
      },
    })
    const { rows } = await product.db.pool.query(
      "select action from tollgate.audit_log where subject = 'platform/google_ai_api_key' order by id desc limit 2",
    )
    expect(rows.map(({ action }) => action)).toEqual(['key.removed', 'key.saved'])
  })
})

describe('Own keys under /api/v1/byok', () => {
  test('Own keys under /api/v1/byok are added, listed, tested, used and removed, and are those of /api/v1/llm/byok.', async () => {
    const caller = await member()
    const stats = {
      total_providers: 7,
      configured_providers: 0,
      tested_providers: 0,
      valid_providers: 0,
      user_tier: 'byok',
    }
    expect(await send('GET', `${OWN}/stats`, undefined, caller)).toEqual({ status: 200, json: stats })
    expect(await send('POST', `${OWN}/keys/add`, { provider: 'openai', key: KEY, label: 'Work' }, caller)).toEqual({
      status: 200,
      json: { message: 'API key added successfully', provider: 'openai', provider_name: 'OpenAI' },
    })
    const shown = {
      provider: 'openai',
      provider_name: 'OpenAI',
      key_preview: MASK,
      label: 'Work',
      added_date: expect.stringMatching(/Z$/),
      last_tested: null,
      test_status: null,
    }
    expect((await send('GET', `${OWN}/keys`, undefined, caller)).json).toEqual([shown])
    expect((await send('GET', '/api/v1/llm/byok/keys', undefined, caller)).json.providers).toMatchObject([
      { provider: 'openai', key_preview: MASK },
    ])
    const { json: providers } = await send('GET', `${OWN}/providers`, undefined, caller)
    expect(providers).toHaveLength(7)
    expect(providers[1]).toEqual({ id: 'openai', name: 'OpenAI', key_format: 'sk-', configured: true })
    expect(providers[0]).toMatchObject({ id: 'openrouter', configured: false })

    product.upstream.respond(jsonAnswer({ data: [] }))
    expect((await send('POST', `${OWN}/keys/test/openai`, undefined, caller)).json).toEqual({
      provider: 'openai',
      status: 'valid',
      message: 'OpenAI accepts the key.',
      details: { status_code: 200 },
    })
    expect((await send('GET', `${OWN}/stats`, undefined, caller)).json).toEqual({
      ...stats,
      configured_providers: 1,
      tested_providers: 1,
      valid_providers: 1,
    })
    product.upstream.respond(errorAnswer(401, { message: 'no' }))
    expect((await send('POST', `${OWN}/keys/test/openai`, undefined, caller)).json).toMatchObject({
      status: 'invalid',
      details: { status_code: 401 },
    })
    expect((await send('GET', `${OWN}/keys`, undefined, caller)).json).toEqual([
      { ...shown, last_tested: expect.stringMatching(/Z$/), test_status: 'invalid' },
    ])
    product.upstream.respond(chat())

    const answer = await postChat(product.tollgate, caller, {
      model: 'own',
      messages: [{ role: 'user', content: 'x' }],
    })
    expect([answer.status, answer.headers.get('x-byok')]).toEqual([200, 'true'])
    expect(product.upstream.requests.at(-1)?.headers.authorization).toBe(`Bearer ${KEY}`)
    expect(await send('DELETE', `${OWN}/keys/openai`, undefined, caller)).toEqual({
      status: 200,
      json: { message: 'API key removed successfully', provider: 'openai', success: true },
    })
    expect((await send('DELETE', `${OWN}/keys/openai`, undefined, caller)).status).toBe(404)
    expect((await send('GET', `${OWN}/keys`, undefined, caller)).json).toEqual([])
  })

  test.each([
    ['POST', `${OWN}/keys/add`, { provider: 'perplexity', key: `pplx-${'a'.repeat(40)}` }, 400],
    ['POST', `${OWN}/keys/add`, { provider: 'openai', key: 'short' }, 422],
    ['POST', `${OWN}/keys/add`, { provider: 'openai', key: goodKey('xai') }, 400],
    ['POST', `${OWN}/keys/add`, { provider: 'openai', key: KEY, endpoint: 'http://169.254.169.254' }, 422],
    ['POST', `${OWN}/keys/test/openai`, undefined, 404],
    ['POST', `${OWN}/keys/test/nobody`, undefined, 404],
    ['DELETE', `${OWN}/keys/nobody`, undefined, 404],
  ])('%s %s with %j gets %i.', async (method, path, body, status) => {
    expect((await send(method, path, body, await member())).status).toBe(status)
  })
})
