/** Virtual keys, as LiteLLM's clients make and use them, over two processes. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { manage, newVirtualKey } from '../../support/management.ts'
import { useProduct } from '../../support/product.ts'
import { configFor, get, postChat, startTollgate, type Tollgate } from '../../support/tollgate.ts'
import { chatAnswer } from '../../support/upstream-answers.ts'

const product = useProduct()
let second: Tollgate
beforeAll(async () => {
  second = await startTollgate({ databaseUrl: product.db.url, config: configFor(product.upstream.url) })
})
afterAll(() => second.stop())

/** 100 tokens at $0.00002, without markup: $0.002, held and charged. */
const CALL = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Count to a hundred' }] }
const USAGE = { prompt_tokens: 7, completion_tokens: 100, total_tokens: 107 }
const answers = () => product.upstream.respond(chatAnswer({ model: 'exact', usage: USAGE }))
const make = (body: unknown) => newVirtualKey(product.tollgate, body)
const call = (key: string, body: unknown = CALL) => postChat(product.tollgate, key, body)
const info = async (key: string) => {
  const { value } = await manage(product.tollgate, `GET /key/info?key=${key}`)
  return value.info as Record<string, unknown>
}
const hashOf = ({ token }: Record<string, unknown>) => Buffer.from(String(token), 'hex')
/** Within a second of a change, everywhere. */
const soon = (check: () => Promise<unknown>) => vi.waitFor(check, { timeout: 20_000, interval: 50 })

test('A virtual key that was made is shown once, with what it was asked for, and calls on both processes.', async () => {
  answers()
  const asked = {
    key_alias: 'first of all',
    max_budget: 0.1,
    budget_duration: '30d',
    models: ['exact', 'gpt-4o*'],
    metadata: { team: 'blue' },
    tags: ['prod'],
    tpm_limit: 100_000,
    rpm_limit: 100,
    max_parallel_requests: 5,
    duration: '30d',
    user_id: 'erin',
  }
  const made = await manage(product.tollgate, 'POST /key/generate', asked)
  expect(made.status).toBe(200)
  const { key, expires, duration: _, ...shown } = made.value as Record<string, string> & { duration?: string }
  const { duration: __, ...echoed } = asked
  expect(shown).toMatchObject({ ...echoed, spend: 0, blocked: false, key_name: `sk-...${String(key).slice(-4)}` })
  expect(key).toMatch(/^sk-[\w-]{32}$/)
  expect(shown.token).toBe(createHash('sha256').update(String(key)).digest('hex'))
  expect(Date.parse(String(expires)) - Date.now()).toBeGreaterThan(29.9 * 86_400_000)
  expect((await call(String(key))).status).toBe(200)
  expect((await postChat(second, String(key), CALL)).status).toBe(200)
  expect(await info(String(key))).toMatchObject({ spend: 0.004, max_budget: 0.1, user_id: 'erin' })
  expect(made.body.split(String(key))).toHaveLength(2)
  expect(JSON.stringify(await info(shown.token as string))).not.toContain(key)
})

describe('The budget of a key', () => {
  test('The budget of a key holds to the nano-dollar: of two calls for $0.004 - 0.000000001 one runs.', async () => {
    answers()
    const key = await make({ max_budget: '0.003999999' })
    expect((await call(key)).status).toBe(200)
    const refused = await call(key)
    expect(refused.status).toBe(422)
    expect(refused.headers.get('x-should-retry')).toBe('false')
    expect(refused.json()).toMatchObject({
      error: { type: 'budget_exceeded', code: '422', reason: 'budget_exceeded', limit: 'key', param: null },
    })
    const { message } = refused.json().error as { message: string }
    expect(message).toContain('Budget has been exceeded!')
    expect(message).toContain('Current cost: 0.002, Max budget: 0.003999999')
    expect(await info(key)).toMatchObject({ spend: 0.002, max_budget: 0.003999999 })
  })

  test('A budget of 0 lets no call of a key through, and null bounds nothing.', async () => {
    answers()
    expect((await call(await make({ max_budget: 0 }))).status).toBe(422)
    expect((await call(await make({ max_budget: null }))).status).toBe(200)
  })

  test('The budget of a key begins anew with the next window, by the clock of the database.', async () => {
    answers()
    await product.db.setNow('2027-03-31T23:30:00Z')
    const key = await make({ max_budget: 0.002, budget_duration: '1mo' })
    expect((await call(key)).status).toBe(200)
    expect((await call(key)).status).toBe(422)
    expect(await info(key)).toMatchObject({ spend: 0.002, budget_reset_at: '2027-04-01T00:00:00.000Z' })
    await product.db.setNow('2027-04-01T00:00:01Z')
    expect(await info(key)).toMatchObject({ spend: 0, budget_reset_at: '2027-05-01T00:00:00.000Z' })
    expect((await call(key)).status).toBe(200)
  })

  test('The budget of a key may have several windows: the narrowest refuses and says when it begins anew.', async () => {
    answers()
    await product.db.setNow('2027-06-01T10:20:00Z')
    const windows = [
      { budget_duration: '1h', max_budget: 0.002 },
      { budget_duration: '24h', max_budget: 0.004 },
    ]
    const key = await make({ max_budget: 1, budget_limits: windows })
    expect((await call(key)).status).toBe(200)
    expect((await call(key)).json()).toMatchObject({ error: { resets_at: '2027-06-01T11:00:00.000Z' } })
    await product.db.setNow('2027-06-01T11:00:00Z')
    expect((await call(key)).status).toBe(200)
    await product.db.setNow('2027-06-01T12:00:00Z')
    expect((await call(key)).json()).toMatchObject({ error: { resets_at: '2027-06-02T00:00:00.000Z' } })
  })

  test('The budget of a key for a model bounds that model alone.', async () => {
    answers()
    const key = await make({ model_max_budget: { exact: { budget_limit: 0.002, time_period: '1d' } } })
    expect((await call(key)).status).toBe(200)
    expect((await call(key)).status).toBe(422)
    expect((await call(key, { ...CALL, model: 'gpt-4o-mini' })).status).toBe(200)
    expect(await info(key)).toMatchObject({ model_spend: { exact: 0.002 } })
  })

  test('A budget of a key that is raised, lowered or removed counts everywhere within a second; what the change does not name stays.', async () => {
    answers()
    const key = await make({ max_budget: 0.002, metadata: { kept: true }, rpm_limit: 1000 })
    expect((await call(key)).status).toBe(200)
    expect((await postChat(second, key, CALL)).status).toBe(422)
    await manage(product.tollgate, 'POST /key/update', { key, max_budget: 0.004 })
    await soon(async () => expect((await postChat(second, key, CALL)).status).toBe(200))
    expect((await call(key)).status).toBe(422)
    await manage(second, 'POST /key/update', { key, max_budget: null })
    await soon(async () => expect((await call(key)).status).toBe(200))
    await manage(second, 'POST /key/update', { key, max_budget: 0.001 })
    await soon(async () => expect((await call(key)).status).toBe(422))
    expect(await info(key)).toMatchObject({ metadata: { kept: true }, rpm_limit: 1000, max_budget: 0.001 })
  })
})

test('A key that is blocked, deleted or made anew is refused on every process within a second.', async () => {
  answers()
  const key = await make({})
  for (const tollgate of [product.tollgate, second]) expect((await postChat(tollgate, key, CALL)).status).toBe(200)
  await manage(product.tollgate, 'POST /key/block', { key })
  for (const tollgate of [product.tollgate, second])
    await soon(async () => expect((await postChat(tollgate, key, CALL)).status).toBe(401))
  expect(await info(key)).toMatchObject({ blocked: true })
  await manage(product.tollgate, 'POST /key/unblock', { key })
  for (const tollgate of [product.tollgate, second])
    await soon(async () => expect((await postChat(tollgate, key, CALL)).status).toBe(200))
  const anew = await manage(product.tollgate, `POST /key/${key}/regenerate`, {})
  const { rows } = await product.db.pool.query(
    "select trim_scale(sum(credits_used) / 1000)::float as spend from credit_usage_attribution where details ->> 'key_id' = $1",
    [
      (await product.db.pool.query('select id from tollgate.api_keys where key_hash = $1', [hashOf(anew.value)]))
        .rows[0].id,
    ],
  )
  expect(anew.value).toMatchObject(rows[0])
  await soon(async () => expect((await postChat(second, key, CALL)).status).toBe(401))
  expect((await postChat(second, String(anew.value.key), CALL)).status).toBe(200)
  const gone = await manage(product.tollgate, 'POST /key/delete', { keys: [anew.value.key] })
  expect(gone.value).toEqual({ deleted_keys: [anew.value.token] })
  await soon(async () => expect((await postChat(second, String(anew.value.key), CALL)).status).toBe(401))
  expect((await manage(product.tollgate, `GET /key/info?key=${String(anew.value.token)}`)).status).toBe(404)
})

test('A key calls the models of its list, also by pattern and by an alias, and lists those alone.', async () => {
  answers()
  const key = await make({ models: ['exact', 'gpt-4o*'], aliases: { cheap: 'exact' } })
  expect((await call(key, { ...CALL, model: 'cheap' })).status).toBe(200)
  expect((await call(key, { ...CALL, model: 'gpt-4o-mini' })).status).toBe(200)
  const refused = await call(key, { ...CALL, model: 'o4-mini' })
  expect(refused.status).toBe(403)
  expect(refused.json()).toMatchObject({ error: { type: 'key_model_access_denied', param: 'model', code: '403' } })
  const listed = (await get(product.tollgate, key, '/v1/models')).json() as { data: { id: string }[] }
  expect(new Set(listed.data.map(({ id }) => id))).toEqual(new Set(['cheap', 'exact', 'gpt-4o', 'gpt-4o-mini']))
})

test('A key may call as often in a minute, and as many at once, as it was made for.', async () => {
  answers()
  const key = await make({ rpm_limit: 3 })
  for (let n = 0; n < 3; n += 1) expect((await call(key)).status).toBe(200)
  const refused = await call(key)
  expect(refused.status).toBe(429)
  expect(refused.json()).toMatchObject({ error: { type: 'throttling_error', code: '429' } })
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  const none = await make({ max_parallel_requests: 0 })
  expect((await call(none)).status).toBe(429)
})

test('A key may call one model as often in a minute, and with as many tokens, as it was made for; other models as often as it likes.', async () => {
  answers()
  const asked = { model_rpm_limit: { exact: 2, 'gpt-4o*': 1 }, model_tpm_limit: { 'gpt-4o-mini': 1 } }
  const key = await make({ model_rpm_limit: asked.model_rpm_limit })
  const ofTokens = await make({ model_tpm_limit: asked.model_tpm_limit })
  expect(await info(key)).toMatchObject({ model_rpm_limit: asked.model_rpm_limit, model_tpm_limit: {} })
  expect(await info(ofTokens)).toMatchObject({ model_rpm_limit: {}, model_tpm_limit: asked.model_tpm_limit })
  const statuses = async (of: string, ...models: string[]) => {
    const seen: number[] = []
    for (const model of models) seen.push((await call(of, { ...CALL, model })).status)
    return seen
  }
  expect(await statuses(key, 'exact', 'gpt-4o-mini', 'exact', 'exact', 'gpt-4o-mini')).toEqual([
    200, 200, 200, 429, 429,
  ])
  // The first call takes more than the token.
  expect(await statuses(ofTokens, 'gpt-4o-mini', 'gpt-4o-mini', 'exact')).toEqual([200, 429, 200])
  const refused = await call(key, { ...CALL, model: 'exact' })
  expect(refused.json()).toMatchObject({
    error: {
      type: 'throttling_error',
      message: 'Rate limit exceeded. Maximum 2 calls of this key for exact per minute.',
    },
  })
})

test('A model whose rates a call did not count does not stand in for another.', async () => {
  answers()
  const key = await make({ model_rpm_limit: { exact: 1 } })
  expect((await call(key)).status).toBe(200)
  expect((await call(key)).status).toBe(429)
  const asked = { ...CALL, model: 'gpt-4o-mini', fallbacks: ['exact'], mock_testing_fallbacks: true }
  const before = product.upstream.requests.length
  expect((await call(key, asked)).status).not.toBe(200)
  expect(product.upstream.requests).toHaveLength(before)
  const free = await make({})
  expect((await call(free, asked)).status).toBe(200)
})

test('An expired key is refused, and the error says so.', async () => {
  const key = await make({ duration: '1s' })
  await soon(async () => {
    const refused = await call(key)
    expect(refused.json()).toMatchObject({ error: { type: 'expired_key', code: '401' } })
  })
})
