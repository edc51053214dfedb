/** Who tries to spend more than a budget lets them, or to reach what is not theirs. */
import { expect, test } from 'vitest'
import { manage, newVirtualKey } from '../../support/management.ts'
import { useProduct } from '../../support/product.ts'
import { get, modelOn, postChat } from '../../support/tollgate.ts'
import { chatAnswer } from '../../support/upstream-answers.ts'

/** `broken` is served at a port where nobody listens, and `exact` stands in for it. */
const product = useProduct((url) => ({
  models: [modelOn('http://127.0.0.1:1', 'broken', { input_cost_per_token: 0, output_cost_per_token: 0.00002 })],
  router_settings: { fallbacks: [{ broken: ['exact'] }] },
  tollgate: { allowed_addresses: [new URL(url).host, '127.0.0.1:1'] },
}))
const CALL = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Count to a hundred' }] }
const answers = () =>
  product.upstream.respond(
    chatAnswer({ model: 'exact', usage: { prompt_tokens: 7, completion_tokens: 100, total_tokens: 107 } }),
  )
const make = (body: unknown, by?: string) => newVirtualKey(product.tollgate, body, by)
const manageAs = (key: string | null, asked: string, body?: unknown) => manage(product.tollgate, asked, body, key)

/** Each with what would change a key, or make one. */
const CHANGES = (key: string): [string, unknown][] => [
  ['POST /key/update', { key, max_budget: 1_000 }],
  ['POST /key/generate', { max_budget: 1_000 }],
  ['POST /key/regenerate', { key }],
  [`POST /key/${key}/regenerate`, {}],
  ['POST /key/block', { key }],
  ['POST /key/unblock', { key }],
  ['POST /key/delete', { keys: [key] }],
]

test('A virtual key can change no key, not even its own, and make no key of another kind.', async () => {
  const key = await make({ max_budget: 0.002 })
  for (const [asked, body] of CHANGES(key))
    expect([asked, (await manageAs(key, asked, body)).status]).toEqual([asked, 403])
  expect((await manageAs(key, 'GET /key/list')).status).toBe(403)
  expect((await manageAs(key, 'POST /api/v1/account/uc-api-keys', { name: 'free' })).status).toBe(403)
  expect((await manageAs(key, 'GET /key/info')).status).toBe(200)
})

test('A virtual key of an administrator of the organization has no administrator’s rights.', async () => {
  const acme = await product.db.seedOrganization({ credits: 100, users: { alice: 50 } })
  const key = await make({ max_budget: 0.002 }, acme.keys.alice)
  for (const [asked, body] of CHANGES(key))
    expect([asked, (await manageAs(key, asked, body)).status]).toEqual([asked, 403])
})

test('An unknown key changes nothing, and neither does a member who is not an admin.', async () => {
  const acme = await product.db.seedOrganization({ credits: 100, users: { alice: 50, bob: 10 } })
  const key = await make({}, acme.keys.alice)
  for (const [asked, body] of CHANGES(key)) {
    expect([asked, (await manageAs(null, asked, body)).status]).toEqual([asked, 401])
    expect([asked, (await manageAs(acme.keys.bob, asked, body)).status]).toEqual([asked, 403])
  }
})

test('An admin sees and changes the keys of one organization alone, and spends its credits alone.', async () => {
  answers()
  const acme = await product.db.seedOrganization({ credits: 100, users: { alice: 50 } })
  const other = await product.db.seedOrganization({ credits: 100, users: { eve: 50 } })
  const key = await make({ user_id: 'alice' }, acme.keys.alice)
  for (const [asked, body] of CHANGES(key)) {
    if (asked === 'POST /key/generate') continue
    expect([asked, (await manageAs(other.keys.eve, asked, body)).status]).toEqual([asked, 404])
  }
  expect((await manageAs(other.keys.eve, `GET /key/info?key=${key}`)).status).toBe(404)
  expect((await manageAs(other.keys.eve, 'GET /key/list')).value).toMatchObject({ total_count: 0 })
  expect((await manageAs(acme.keys.alice, 'GET /key/list')).value).toMatchObject({ total_count: 1 })
  const asked = { organization_id: acme.id, user_id: 'alice' }
  expect((await manageAs(other.keys.eve, 'POST /key/generate', asked)).status).toBe(403)
  expect((await manageAs(other.keys.eve, 'POST /key/generate', { user_id: 'alice' })).status).toBe(400)
  expect((await postChat(product.tollgate, key, CALL, { headers: { 'x-org-id': other.id } })).status).toBe(403)
  expect((await postChat(product.tollgate, key, CALL)).status).toBe(200)
  const { rows } = await product.db.pool.query(
    'select org_id, user_id, trim_scale(credits_used) as credits from credit_usage_attribution where org_id = any($1)',
    [[acme.id, other.id]],
  )
  expect(rows).toEqual([{ org_id: acme.id, user_id: 'alice', credits: '3' }])
})

test.each([
  [-1, 400],
  ['-0.5', 400],
  ['ten', 400],
  ['0x10', 400],
  ['NaN', 400],
  ['Infinity', 400],
  [1e300, 400],
  ['1e-400', 200],
  [true, 400],
  [[1], 400],
  [{ dollars: 1 }, 400],
  ['', 400],
  [1e-9, 200],
  [0.1, 200],
  ['10000000000', 200],
  ['10000000000.000000001', 400],
])('A budget of %j gets %i.', async (amount, status) => {
  const made = await manage(product.tollgate, 'POST /key/generate', { max_budget: amount })
  expect(made.status).toBe(status)
  if (status === 400) expect(made.value).toMatchObject({ error: { param: 'max_budget' } })
})

test.each(['0d', '-1d', '1y', '1.5h', '99999999999d', '11000d', 'd', '30', '1d1h', ' 1d'])(
  'A window of %j is refused by name.',
  async (duration) => {
    const made = await manage(product.tollgate, 'POST /key/generate', { max_budget: 1, budget_duration: duration })
    expect([made.status, made.value]).toMatchObject([400, { error: { param: 'budget_duration' } }])
  },
)

test('A protection that is not enforced is refused by name, and an empty one is not.', async () => {
  for (const [name, value] of Object.entries({
    guardrails: ['pii'],
    permissions: { x: true },
    enforced_params: ['user'],
  })) {
    const made = await manage(product.tollgate, 'POST /key/generate', { [name]: value })
    expect([made.status, made.value]).toMatchObject([400, { error: { code: 'not_enforced', param: name } }])
  }
  expect((await manage(product.tollgate, 'POST /key/generate', { guardrails: [], permissions: {} })).status).toBe(200)
})

test('Names of models and aliases may be any text: each has a budget of its own.', async () => {
  answers()
  const names = ['モデル', 'exact', '__proto__', 'constructor', 'a'.repeat(200), '👩‍💻/модель:1d']
  const aliases = JSON.stringify(Object.fromEntries(names.map((name) => [name, 'exact']))).replace(
    '"constructor"',
    '"__proto__":"exact","constructor"',
  )
  const budgets = JSON.stringify(
    Object.fromEntries(
      names.filter((name) => name !== '__proto__').map((name) => [name, { budget_limit: 1, time_period: '1d' }]),
    ),
  )
  const key = await newVirtualKey(product.tollgate, `{"aliases": ${aliases}, "model_max_budget": ${budgets}}`)
  for (const model of names.filter((name) => name !== '__proto__'))
    expect([model, (await postChat(product.tollgate, key, { ...CALL, model })).status]).toEqual([model, 200])
  const { value } = await manage(product.tollgate, `GET /key/info?key=${key}`)
  expect((value.info as Record<string, unknown>).model_spend).toMatchObject({ exact: 0.01, モデル: 0 })
  const long = { model_max_budget: { ['a'.repeat(201)]: 1 } }
  expect((await manage(product.tollgate, 'POST /key/generate', long)).status).toBe(400)
})

test('A fallback is not called where the key has a budget for its model that the call does not hold.', async () => {
  answers()
  const broken = { ...CALL, model: 'broken' }
  expect((await postChat(product.tollgate, await make({}), broken)).status).toBe(200)
  const before = product.upstream.tally.calls
  const budgeted = await make({ model_max_budget: { exact: 1 } })
  expect((await postChat(product.tollgate, budgeted, broken)).status).toBe(503)
  expect(product.upstream.tally.calls).toBe(before)
})

test('Another path to the same model does not go around its budget.', async () => {
  answers()
  const key = await make({ max_budget: 0 })
  for (const path of [
    '/v1/chat/completions',
    '/chat/completions',
    '/api/v1/llm/chat/completions',
    '/v1/messages',
    '/v1/responses',
  ]) {
    const body = path === '/v1/responses' ? { model: 'exact', input: 'Hello', max_output_tokens: 100 } : CALL
    expect([path, (await postChat(product.tollgate, key, body, { path })).status]).toEqual([path, 422])
  }
  expect((await get(product.tollgate, key, '/v1/models')).status).toBe(200)
})
