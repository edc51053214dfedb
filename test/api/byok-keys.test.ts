/** The routes by which callers keep keys of their own: shapes, texts, formats, who may touch what, tests and their limit, usage. */
import { describe, expect, test } from 'vitest'
import { expectRefusal } from '../support/error-shape.ts'
import { postChat } from '../support/tollgate.ts'
import { chat, errorAnswer, jsonAnswer } from '../support/upstream-answers.ts'
import { goodKey, keyless, SEVEN_NAMES, useKeysProduct } from './keys-product.ts'

const ROUTE = '/api/v1/llm/byok'
const product = useKeysProduct((url) => ({
  models: [
    keyless('own', 'openai/exact', url, { input_cost_per_token: 0, output_cost_per_token: 0.00002 }),
    keyless('quick', 'groq/llama-3.3-70b-versatile', url),
  ],
}))

let made = 0
/** User ids of their own: a user's keys are the same in every organization. */
async function organization() {
  made += 1
  const [owner, member] = [`owner-${made}`, `member-${made}`]
  const { id, keys } = await product.db.seedOrganization({
    plan: 'byok',
    credits: 10,
    users: { [owner]: 1, [member]: 1 },
  })
  return { id, owner: keys[owner] ?? '', member: keys[member] ?? '' }
}

const stored = async (key: string, query = '') => {
  const answer = await product.send('GET', `${ROUTE}/keys${query}`, undefined, key)
  expect(answer.status).toBe(200)
  return (answer.json() as { providers: Record<string, unknown>[] }).providers
}
const store = (key: string, body: Record<string, unknown>) => product.send('POST', `${ROUTE}/keys`, body, key)

test('Everybody may list the providers.', async () => {
  const answer = await product.send('GET', `${ROUTE}/providers`, undefined, null)
  const { providers } = answer.json() as { providers: { id: string; key_format: string }[] }
  expect(providers.map(({ id }) => id)).toEqual(SEVEN_NAMES)
  expect(providers.find(({ id }) => id === 'google')?.key_format).toBe('AIza...')
})

test.each(SEVEN_NAMES)('A key of %s is stored, listed masked, switched off and on, and deleted.', async (provider) => {
  const { member } = await organization()
  const apiKey = goodKey(provider)
  const saved = await store(member, { provider, api_key: apiKey, metadata: { label: 'mine', last_tested: 'never' } })
  expect([saved.status, saved.json()]).toEqual([
    200,
    {
      success: true,
      key_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      provider,
      message: 'API key stored successfully',
      key_preview: `${apiKey.slice(0, 7)}...${apiKey.slice(-4)}`,
      test_result: null,
    },
  ])
  const shown = {
    id: saved.json().key_id,
    provider,
    enabled: true,
    metadata: { label: 'mine' },
    created_at: expect.stringMatching(/Z$/),
    updated_at: expect.stringMatching(/Z$/),
    key_preview: saved.json().key_preview,
    masked_key: saved.json().key_preview,
    last_tested: null,
    test_status: null,
    problem: null,
  }
  expect(await stored(member)).toEqual([shown])
  for (const enabled of [false, true]) {
    const toggled = await product.send('POST', `${ROUTE}/keys/${provider}/toggle`, { enabled }, member)
    expect(toggled.json()).toEqual({
      success: true,
      provider,
      enabled,
      message: `API key ${enabled ? 'enabled' : 'disabled'} successfully`,
    })
    expect(await stored(member)).toMatchObject([{ enabled }])
  }
  const deleted = await product.send('DELETE', `${ROUTE}/keys/${provider}`, undefined, member)
  expect(deleted.json()).toEqual({ success: true, provider })
  expect(await stored(member)).toEqual([])
})

test.each([
  ['openai', `sk-${'a'.repeat(37)}`],
  ['openai', goodKey('anthropic')],
  ['openai', goodKey('openrouter')],
  ['anthropic', `sk-ant-${'a'.repeat(43)}`],
  ['openrouter', `sk-or-${'a'.repeat(34)}`],
  ['groq', `gsk_${'a'.repeat(46)}`],
  ['huggingface', `hf_${'a'.repeat(27)}`],
  ['xai', `xai-${'a'.repeat(16)}`],
  ['google', `AIza${'a'.repeat(16)}`],
  ['google', goodKey('xai')],
])('%s: half a key, or a key of another provider, is refused with the documented text.', async (provider, apiKey) => {
  const { member } = await organization()
  const answer = await store(member, { provider, api_key: apiKey })
  expect([answer.status, answer.json().detail]).toEqual([400, `Invalid API key format for ${provider}`])
  // One character more is long enough.
  const longer = await store(member, { provider, api_key: `${apiKey}a` })
  const isOfAnother = SEVEN_NAMES.some((name) => goodKey(name) === apiKey)
  expect(longer.status).toBe(isOfAnother ? 400 : 200)
})

test.each([
  [{ provider: 'cohere', api_key: 'co-0123456789012345678901' }, 400, 'invalid_provider', 'provider'],
  [{ api_key: goodKey('openai') }, 422, 'invalid_request', 'provider'],
  [{ provider: 'provisioning', api_key: 'mu-prov-0123456789012345' }, 400, 'invalid_provider', 'provider'],
  [{ provider: 'openai' }, 422, 'invalid_request', 'api_key'],
  [{ provider: 'openai', api_key: 'sk-123' }, 422, 'invalid_request', 'api_key'],
  [{ provider: 'openai', api_key: goodKey('openai'), metadata: [1] }, 422, 'invalid_request', 'metadata'],
  [{ provider: 'openai', api_key: goodKey('openai'), metadata: { a: '\0' } }, 422, 'invalid_request', 'metadata'],
  [{ provider: 'openai', api_key: goodKey('openai'), scope: 'world' }, 422, 'invalid_request', 'scope'],
] as const)('A request to store %j is refused.', async (body, status, code, param) => {
  const { owner } = await organization()
  expectRefusal(await store(owner, body), { status, code, param })
})

test('Metadata that nests without end is refused.', async () => {
  const { member } = await organization()
  const nested = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
  const body = `{"provider": "openai", "api_key": "${goodKey('openai')}", "metadata": {"a": ${nested}}}`
  const answer = await product.send('POST', `${ROUTE}/keys`, body, member)
  expectRefusal(answer, { status: 400, code: 'invalid_json', param: 'request_body' })
})

test('The reason why a stored key does not open names neither root keys nor other users.', async () => {
  const { member, owner } = await organization()
  for (const key of [member, owner]) await store(key, { provider: 'openai', api_key: goodKey('openai') })
  const problem = "This key can't be used. Store it again, or tell the operator."
  await product.db.pool.query(
    `update user_provider_keys k set api_key_encrypted = o.api_key_encrypted from user_provider_keys o
      where k.user_id like '%/member-' || $1 and o.user_id like '%/owner-' || $1`,
    [String(made)],
  )
  expect(await stored(member)).toMatchObject([{ key_preview: '***', problem }])
  await product.db.pool.query(
    "update user_provider_keys set api_key_encrypted = regexp_replace(api_key_encrypted, ':[0-9a-f]{16}:', ':0123456789abcdef:')",
  )
  expect(await stored(owner)).toMatchObject([{ key_preview: '***', problem }])
})

test('A key that does not exist can’t be deleted, switched or tested.', async () => {
  const { member } = await organization()
  for (const provider of ['openai', 'cohere', '..%2f..']) {
    const deleted = await product.send('DELETE', `${ROUTE}/keys/${provider}`, undefined, member)
    expect([deleted.status, deleted.json().detail]).toEqual([404, 'Provider key not found'])
    const toggled = await product.send('POST', `${ROUTE}/keys/${provider}/toggle`, { enabled: true }, member)
    expect([toggled.status, toggled.json().detail]).toEqual([404, 'Provider key not found'])
  }
  const tested = await product.send('POST', `${ROUTE}/keys/openai/test`, undefined, member)
  expect([tested.status, tested.json().detail]).toEqual([404, "No API key found for provider 'openai'"])
})

test.each([
  ['GET', '/keys'],
  ['POST', '/keys'],
  ['DELETE', '/keys/openai'],
  ['POST', '/keys/openai/toggle'],
  ['POST', '/keys/openai/test'],
  ['GET', '/keys/openai/usage'],
])('%s %s needs a key of this product.', async (method, path) => {
  expectRefusal(await product.send(method, `${ROUTE}${path}`, undefined, null), {
    status: 401,
    code: 'missing_api_key',
  })
})

test('Nobody sees, changes or deletes the key of another user.', async () => {
  const [mine, theirs] = [await organization(), await organization()]
  await store(mine.member, { provider: 'openai', api_key: goodKey('openai') })
  for (const key of [mine.owner, theirs.member, theirs.owner]) {
    expect(await stored(key)).toEqual([])
    expect((await product.send('DELETE', `${ROUTE}/keys/openai`, undefined, key)).status).toBe(404)
    expect((await product.send('POST', `${ROUTE}/keys/openai/toggle`, { enabled: false }, key)).status).toBe(404)
  }
  expect(await stored(mine.member)).toMatchObject([{ enabled: true }])
})

describe("an organization's keys", () => {
  test("An organization's keys are for its admins, and apart from their own.", async () => {
    const { owner, member } = await organization()
    const body = { provider: 'openai', api_key: goodKey('openai'), scope: 'organization' }
    const refusal = { status: 403, code: 'permission_denied' }
    expectRefusal(await store(member, body), refusal)
    expect((await store(owner, body)).status).toBe(200)
    for (const [method, path] of [
      ['GET', '/keys?scope=organization'],
      ['DELETE', '/keys/openai?scope=organization'],
      ['POST', '/keys/openai/test?scope=organization'],
      ['GET', '/keys/openai/usage?scope=organization'],
    ] as const)
      expectRefusal(await product.send(method, `${ROUTE}${path}`, undefined, member), refusal)
    expect(await stored(owner)).toEqual([])
    expect(await stored(owner, '?scope=organization')).toMatchObject([{ provider: 'openai', enabled: true }])
    const toggled = { enabled: false, scope: 'organization' }
    expect((await product.send('POST', `${ROUTE}/keys/openai/toggle`, toggled, owner)).status).toBe(200)
    expect(await stored(owner, '?scope=organization')).toMatchObject([{ enabled: false }])
    expect((await product.send('DELETE', `${ROUTE}/keys/openai?scope=organization`, undefined, owner)).status).toBe(200)
  })
})

describe('a test', () => {
  test('A test of a key asks the provider with the key in a header, notes the outcome, and costs nothing.', async () => {
    const { member } = await organization()
    await store(member, { provider: 'openai', api_key: goodKey('openai') })
    const { upstream } = product
    upstream.respond(jsonAnswer({ object: 'list', data: [] }))
    const before = upstream.requests.length
    const answer = await product.send('POST', `${ROUTE}/keys/openai/test`, undefined, member)
    expect([answer.status, answer.json()]).toEqual([
      200,
      {
        success: true,
        provider: 'openai',
        message: 'OpenAI accepts the key.',
        details: { status_code: 200, latency_ms: expect.any(Number), last_tested: expect.stringMatching(/Z$/) },
      },
    ])
    const [request] = upstream.requests.slice(before)
    expect(request).toMatchObject({ method: 'GET', path: '/v1/models' })
    expect(request?.headers.authorization).toBe(`Bearer ${goodKey('openai')}`)
    const { last_tested: at } = answer.json().details as { last_tested: string }
    expect(await stored(member)).toMatchObject([{ last_tested: at, test_status: 'valid', metadata: {} }])
    upstream.respond(errorAnswer(401, { message: `Incorrect API key: ${goodKey('openai')}` }))
    const failed = await product.send('POST', `${ROUTE}/keys/openai/test`, {}, member)
    expect(failed.json()).toMatchObject({ success: false, details: { status_code: 401 } })
    expect(failed.body).not.toContain(goodKey('openai'))
    expect(await stored(member)).toMatchObject([{ test_status: 'failed' }])
    // Saved anew, nothing is known of it.
    await store(member, { provider: 'openai', api_key: `${goodKey('openai')}2` })
    expect(await stored(member)).toMatchObject([{ last_tested: null, test_status: null }])
  })

  test('A user may test keys five times a minute.', async () => {
    const { owner, member } = await organization()
    product.upstream.respond(jsonAnswer({ data: [] }))
    for (const key of [owner, member]) await store(key, { provider: 'groq', api_key: goodKey('groq') })
    const ask = (key: string) => product.send('POST', `${ROUTE}/keys/groq/test`, undefined, key)
    for (let n = 0; n < 5; n += 1) expect((await ask(member)).status).toBe(200)
    const answer = await ask(member)
    expect([answer.status, answer.json().detail]).toEqual([429, 'Rate limit exceeded. Maximum 5 tests per minute.'])
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(60)
    expect(Number(answer.headers.get('x-ratelimit-reset'))).toBeGreaterThan(Date.now() / 1000)
    expect((await ask(owner)).status).toBe(200)
  })
})

test('The usage of a key counts the calls made with it, at the provider’s cost.', async () => {
  const { owner, member } = await organization()
  await store(member, { provider: 'openai', api_key: goodKey('openai') })
  await store(owner, { provider: 'openai', api_key: goodKey('openai'), scope: 'organization' })
  product.upstream.respond(chat({ model: 'exact' }))
  const call = { model: 'own', max_tokens: 10, messages: [{ role: 'user', content: 'Hi' }] }
  for (const key of [member, member, owner]) expect((await postChat(product.tollgate, key, call)).status).toBe(200)
  const usage = async (key: string, query = '') =>
    (await product.send('GET', `${ROUTE}/keys/openai/usage${query}`, undefined, key)).json()
  expect(await usage(member)).toEqual({
    provider: 'openai',
    period_days: 30,
    total_requests: 2,
    total_tokens: 32,
    total_cost: 0.0002,
    last_used: expect.stringMatching(/Z$/),
  })
  expect(await usage(owner)).toMatchObject({ total_requests: 0, total_tokens: 0, total_cost: 0, last_used: null })
  expect(await usage(owner, '?scope=organization&days=1')).toMatchObject({ period_days: 1, total_requests: 1 })
  expectRefusal(await product.send('GET', `${ROUTE}/keys/openai/usage?days=0`, undefined, member), {
    status: 422,
    code: 'invalid_request',
    param: 'days',
  })
})
