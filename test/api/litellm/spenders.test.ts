/** Teams, users, organizations, budgets and customers: what they are made with binds calls, through the same gate in the same hold. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { manage, newVirtualKey } from '../../support/management.ts'
import { useProduct } from '../../support/product.ts'
import { configFor, MASTER_KEY, postChat, startTollgate, type Tollgate } from '../../support/tollgate.ts'
import { chatAnswer } from '../../support/upstream-answers.ts'

const extra = { general_settings: { budget_exceeded_status_code: 429 } }
const product = useProduct(() => extra)
let second: Tollgate
beforeAll(async () => {
  second = await startTollgate({ databaseUrl: product.db.url, config: configFor(product.upstream.url, extra) })
})
afterAll(() => second.stop())

/** $0.002, held and charged. */
const CALL = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Count to a hundred' }] }
const answers = () =>
  product.upstream.respond(
    chatAnswer({ model: 'exact', usage: { prompt_tokens: 7, completion_tokens: 100, total_tokens: 107 } }),
  )
const make = (body: unknown) => newVirtualKey(product.tollgate, body)
const call = (key: string, body: unknown = CALL, headers: Record<string, string> = {}) =>
  postChat(product.tollgate, key, body, { headers })
const post = async (path: string, body: unknown, key?: string) => {
  const answer = await manage(product.tollgate, `POST ${path}`, body, key)
  expect([path, answer.status, answer.body]).toEqual([path, 200, answer.body])
  return answer.value
}
const look = async (path: string) => (await manage(product.tollgate, `GET ${path}`)).value
const soon = (check: () => Promise<unknown>) => vi.waitFor(check, { timeout: 20_000, interval: 50 })

describe('A team', () => {
  test('A team spends one budget with all its keys, and each member one within it.', async () => {
    answers()
    const team = await post('/team/new', { team_id: 'blue', team_alias: 'The blue ones', max_budget: 0.006 })
    expect(team).toMatchObject({ team_id: 'blue', team_alias: 'The blue ones', max_budget: 0.006, spend: 0 })
    await post('/team/member_add', {
      team_id: 'blue',
      member: { user_id: 'ann', role: 'user' },
      max_budget_in_team: 0.002,
    })
    const [ann, ben] = [
      await make({ team_id: 'blue', user_id: 'ann' }),
      await make({ team_id: 'blue', user_id: 'ben' }),
    ]
    expect((await call(ann)).status).toBe(200)
    const own = await call(ann)
    expect([own.status, own.json()]).toMatchObject([429, { error: { code: '429', limit: 'team_member' } }])
    expect((await call(ben)).status).toBe(200)
    expect((await call(ben)).status).toBe(200)
    expect((await call(ben)).json()).toMatchObject({ error: { type: 'budget_exceeded', limit: 'team' } })
    expect(await look('/team/info?team_id=blue')).toMatchObject({
      team_info: { spend: 0.006, members_with_roles: [{ user_id: 'ann', role: 'user' }] },
      team_memberships: [{ user_id: 'ann', spend: 0.002, max_budget: 0.002 }],
    })
    await post('/team/update', { team_id: 'blue', max_budget: null })
    await soon(async () => expect((await call(ben)).status).toBe(200))
  })

  test('A team has lists and aliases of models for its keys; once it is blocked or deleted, none of them can call.', async () => {
    answers()
    await post('/team/new', { team_id: 'red', models: ['exact'], model_aliases: { cheap: 'exact' } })
    const key = await make({ team_id: 'red' })
    expect((await call(key, { ...CALL, model: 'cheap' })).status).toBe(200)
    const refused = await call(key, { ...CALL, model: 'gpt-4o' })
    expect([refused.status, refused.json()]).toMatchObject([403, { error: { type: 'team_model_access_denied' } }])
    await post('/team/block', { team_id: 'red' })
    await soon(async () => expect((await call(key)).status).toBe(403))
    await post('/team/unblock', { team_id: 'red' })
    await soon(async () => expect((await call(key)).status).toBe(200))
    await post('/team/delete', { team_ids: ['red'] })
    await soon(async () => expect((await call(key)).status).toBe(401))
  })

  test('A team is not known to other organizations, and none of their keys joins it.', async () => {
    const acme = await product.db.seedOrganization({ credits: 100, users: { alice: 50 } })
    await post('/team/new', { team_id: 'ours' })
    const as = (asked: string, body?: unknown) => manage(product.tollgate, asked, body, acme.keys.alice)
    expect((await as('GET /team/info?team_id=ours')).status).toBe(404)
    expect((await as('POST /team/update', { team_id: 'ours', max_budget: 0 })).status).toBe(404)
    expect((await as('POST /team/delete', { team_ids: ['ours'] })).status).toBe(404)
    expect((await as('POST /key/generate', { team_id: 'ours' })).status).toBe(404)
    expect((await as('GET /team/list')).value).toEqual([])
    // The same name in another organization is another team.
    expect((await as('POST /team/new', { team_id: 'ours' })).status).toBe(200)
  })
})

test('A user spends one budget with all keys that belong to no team; a key of a team spends the team’s.', async () => {
  answers()
  const made = await post('/user/new', { user_id: 'uma', user_email: 'uma@example.com', max_budget: 0.004 })
  expect(made).toMatchObject({ user_id: 'uma', user_email: 'uma@example.com', max_budget: 0.004 })
  const other = await make({ user_id: 'uma' })
  await post('/team/new', { team_id: 'umas' })
  const ofTeam = await make({ user_id: 'uma', team_id: 'umas' })
  expect((await call(String(made.key))).status).toBe(200)
  expect((await postChat(second, other, CALL)).status).toBe(200)
  expect((await call(other)).json()).toMatchObject({ error: { type: 'budget_exceeded', limit: 'user' } })
  expect((await call(ofTeam)).status).toBe(200)
  expect(await look('/user/info?user_id=uma')).toMatchObject({ user_info: { spend: 0.004 }, teams: [] })
  const own = await manage(product.tollgate, 'GET /user/info', undefined, other)
  expect([own.status, own.value]).toMatchObject([200, { user_id: 'uma' }])
  expect((await manage(product.tollgate, 'GET /user/info?user_id=admin', undefined, other)).status).toBe(403)
  await post('/user/delete', { user_ids: ['uma'] })
  await soon(async () => expect((await call(other)).status).toBe(401))
})

test('An organization is bounded by its budget alone, adds no markup, and its admin is bound by it too.', async () => {
  answers()
  const made = await post('/organization/new', { organization_alias: 'budgeted', max_budget: 0.004 })
  expect(made).toMatchObject({ organization_alias: 'budgeted', litellm_budget_table: { max_budget: 0.004 } })
  const id = String(made.organization_id)
  const key = await make({ organization_id: id })
  const first = await call(key)
  expect([first.status, first.headers.get('x-litellm-response-cost')]).toEqual([200, '0.002'])
  expect((await call(await make({ organization_id: id }))).status).toBe(200)
  expect((await call(key)).json()).toMatchObject({ error: { type: 'budget_exceeded', limit: 'organization' } })
  expect(await look(`/organization/info?organization_id=${id}`)).toMatchObject({ spend: 0.004 })
  const acme = await product.db.seedOrganization({ credits: 100, users: { alice: 50 } })
  const as = (asked: string, body?: unknown) => manage(product.tollgate, asked, body, acme.keys.alice)
  expect((await as(`GET /organization/info?organization_id=${id}`)).status).toBe(404)
  expect((await as('PATCH /organization/update', { organization_id: acme.id, max_budget: 100 })).status).toBe(403)
  // One that buys its credits has a budget besides: it binds every key of it, not the virtual ones alone.
  const bounded = { organization_id: acme.id, max_budget: 0.003 }
  expect((await manage(product.tollgate, 'PATCH /organization/update', bounded)).status).toBe(200)
  await soon(async () => expect((await as('GET /organization/list')).value).toMatchObject([{ max_budget: 0.003 }]))
  await soon(async () => expect((await call(acme.keys.alice)).status).toBe(429))
  const taken = { organization_id: acme.id, organization_alias: 'budgeted' }
  const refused = await manage(product.tollgate, 'PATCH /organization/update', taken)
  expect([refused.status, refused.value]).toMatchObject([409, { error: { code: 'organization_exists' } }])
  await manage(product.tollgate, 'DELETE /organization/delete', { organization_ids: [id] })
  await soon(async () => expect((await call(key)).status).toBe(401))
})

test('A change of a budget that several refer to changes it for all of them, and each spends it separately.', async () => {
  answers()
  await post('/budget/new', { budget_id: 'small', max_budget: 0.002, budget_duration: '30d', rpm_limit: 500 })
  const [one, two] = [await make({ budget_id: 'small' }), await make({ budget_id: 'small' })]
  expect((await call(one)).status).toBe(200)
  expect((await call(two)).status).toBe(200)
  expect((await call(one)).status).toBe(429)
  await post('/budget/update', { budget_id: 'small', max_budget: 0.004 })
  await soon(async () => expect((await call(one)).status).toBe(200))
  expect((await manage(product.tollgate, 'POST /budget/delete', { id: 'small' })).status).toBe(409)
  expect(await post('/budget/info', { budgets: ['small'] })).toMatchObject([{ budget_id: 'small', max_budget: 0.004 }])
  expect((await manage(product.tollgate, 'POST /key/generate', { budget_id: 'none' })).status).toBe(404)
})

describe('A customer', () => {
  test('A customer has a budget that binds every caller of the organization, the master key too, whether a member or a header names the customer.', async () => {
    answers()
    await post('/customer/new', { user_id: 'cust-1', alias: 'First', max_budget: 0.006 })
    const key = await make({})
    await soon(async () => expect((await call(key, { ...CALL, user: 'cust-1' })).status).toBe(200))
    expect((await call(MASTER_KEY, { ...CALL, user: 'cust-1' })).status).toBe(200)
    expect((await call(key, CALL, { 'x-litellm-customer-id': 'cust-1' })).status).toBe(200)
    const refused = await call(MASTER_KEY, { ...CALL, user: 'cust-1' })
    expect([refused.status, refused.json()]).toMatchObject([
      429,
      { error: { type: 'budget_exceeded', limit: 'customer' } },
    ])
    expect((await call(key, { ...CALL, user: 'somebody else' })).status).toBe(200)
    expect((await call(key, { ...CALL, user: 'cust-1' }, { 'x-litellm-end-user-id': 'nobody' })).status).toBe(200)
    expect(await look('/customer/info?end_user_id=cust-1')).toMatchObject({
      user_id: 'cust-1',
      alias: 'First',
      spend: 0.006,
    })
  })

  test('A customer that is blocked is refused, and so is a model that is not on the customer’s list.', async () => {
    answers()
    await post('/customer/new', { user_id: 'cust-2', models: ['exact'], rpm_limit: 2 })
    const key = await make({})
    await soon(async () => expect((await call(key, { ...CALL, model: 'gpt-4o', user: 'cust-2' })).status).toBe(403))
    expect((await call(key, { ...CALL, fallbacks: ['gpt-4o'], user: 'cust-2' })).status).toBe(403)
    expect((await call(key, { ...CALL, user: 'cust-2' })).status).toBe(200)
    expect((await call(key, { ...CALL, user: 'cust-2' })).status).toBe(200)
    expect((await call(key, { ...CALL, user: 'cust-2' })).status).toBe(429)
    await post('/end_user/block', { user_ids: ['cust-2'] })
    await soon(async () => expect((await call(key, { ...CALL, user: 'cust-2' })).status).toBe(403))
    await post('/customer/delete', { user_ids: ['cust-2'] })
    await soon(async () => expect((await call(key, { ...CALL, user: 'cust-2' })).status).toBe(200))
  })
})

test('Of 200 calls at once on a key with budget for 37, over two processes, 37 run, and no more are counted for its team and user.', async () => {
  answers()
  await post('/team/new', { team_id: 'many', max_budget: 0.09 })
  const key = await make({ max_budget: 0.075, budget_duration: '1mo', team_id: 'many', user_id: 'zoe' })
  const before = product.upstream.tally.calls
  const all = await Promise.all(
    Array.from({ length: 200 }, (_, n) => postChat(n % 2 === 0 ? product.tollgate : second, key, CALL)),
  )
  const of = (status: number) => all.filter((answer) => answer.status === status).length
  expect([of(200), of(429)]).toEqual([37, 163])
  expect(product.upstream.tally.calls - before).toBe(37)
  const info = (await look(`/key/info?key=${key}`)).info
  expect(info).toMatchObject({ spend: 0.074, max_budget: 0.075 })
  expect(await look('/team/info?team_id=many')).toMatchObject({ team_info: { spend: 0.074 } })
})
