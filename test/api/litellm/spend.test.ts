/** What was spent, as LiteLLM's clients ask for it: each figure is the sum of the rows of the books. */
import { createHash } from 'node:crypto'
import { expect, test, vi } from 'vitest'
import { manage, newVirtualKey } from '../../support/management.ts'
import { useProduct } from '../../support/product.ts'
import { MASTER_KEY, postChat } from '../../support/tollgate.ts'
import { chatAnswer } from '../../support/upstream-answers.ts'

const product = useProduct()
/** $0.002, 107 tokens. */
const CALL = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Count to a hundred' }] }
const answers = () =>
  product.upstream.respond(
    chatAnswer({ model: 'exact', usage: { prompt_tokens: 7, completion_tokens: 100, total_tokens: 107 } }),
  )
const look = async (path: string, key: string = MASTER_KEY) => {
  const answer = await manage(product.tollgate, `GET ${path}`, undefined, key)
  expect([path, answer.status, answer.status === 200 ? '' : answer.body]).toEqual([path, 200, ''])
  return answer.json() as never as Record<string, unknown> & Record<string, unknown>[]
}
const post = (path: string, body: unknown) => manage(product.tollgate, `POST ${path}`, body)
const hash = (key: string) => createHash('sha256').update(key).digest('hex')

test('Each call is a row with its key, team, user, customer, tags and tokens, and sums are those of the rows.', async () => {
  answers()
  await post('/team/new', { team_id: 'sums' })
  await post('/customer/new', { user_id: 'cust' })
  const key = await newVirtualKey(product.tollgate, {
    team_id: 'sums',
    user_id: 'sam',
    tags: ['prod'],
    key_alias: 'summed',
  })
  await vi.waitFor(
    async () => {
      await postChat(product.tollgate, key, { ...CALL, user: 'cust' })
      expect(await look('/customer/info?end_user_id=cust')).not.toMatchObject({ spend: 0 })
    },
    { timeout: 20_000, interval: 100 },
  )
  for (let n = 0; n < 3; n += 1)
    await postChat(product.tollgate, key, { ...CALL, user: 'cust' }, { headers: { 'x-litellm-tags': 'a,b' } })
  const rows = await look(`/spend/logs?api_key=${key}`)
  const spent = rows.length * 0.002
  expect(rows.length).toBeGreaterThanOrEqual(4)
  const [newest] = rows
  expect(newest).toMatchObject({
    api_key: hash(key),
    spend: 0.002,
    total_tokens: 107,
    prompt_tokens: 7,
    completion_tokens: 100,
    model_group: 'exact',
    custom_llm_provider: 'openai',
    user: 'sam',
    end_user: 'cust',
    team_id: 'sums',
    request_tags: ['prod', 'a', 'b'],
    status: 'success',
    metadata: { user_api_key_alias: 'summed' },
  })
  expect(await look(`/spend/logs?request_id=${newest?.request_id}`)).toEqual([newest])
  const near = (value: number) => expect.closeTo(value, 9)
  expect((await look(`/key/info?key=${key}`)).info).toMatchObject({ spend: near(spent) })
  expect(await look('/spend/tags')).toContainEqual({
    individual_request_tag: 'a',
    total_spend: 0.006,
    log_count: 3,
    total_tokens: 321,
  })
  expect(await look('/global/spend/teams')).toContainEqual(
    expect.objectContaining({ team_id: 'sums', total_spend: near(spent) }),
  )
  expect(await look('/global/spend/keys')).toContainEqual(
    expect.objectContaining({ api_key: hash(key), key_alias: 'summed', total_spend: near(spent) }),
  )
  for (const path of ['models', 'provider', 'end_users', 'logs'])
    expect((await look(`/global/spend/${path}`)).length).toBeGreaterThan(0)
  const { rows: books } = await product.db.pool.query(
    'select (sum(credits_used) / 1000)::float as spend from credit_usage_attribution',
  )
  expect(await look('/global/spend')).toMatchObject({ spend: near(books[0].spend) })
  const today = new Date().toISOString().slice(0, 10)
  const activity = await look(`/user/daily/activity?start_date=${today}&user_id=sam`)
  expect(activity.metadata).toMatchObject({ total_spend: near(spent), total_api_requests: rows.length })
  expect(activity.results).toMatchObject([
    {
      date: today,
      metrics: { api_requests: rows.length },
      breakdown: { models: { exact: {} }, api_keys: { [hash(key)]: {} } },
    },
  ])
  const days = await look(`/spend/logs?api_key=${key}&start_date=${today}&end_date=${today}`)
  expect(days).toMatchObject([{ startTime: today, spend: near(spent), api_requests: rows.length }])
})

test('Pages by cursor hold every call once, whatever is called meanwhile.', async () => {
  answers()
  const key = await newVirtualKey(product.tollgate, {})
  for (let n = 0; n < 5; n += 1) await postChat(product.tollgate, key, CALL)
  const seen: unknown[] = []
  let cursor: unknown = null
  do {
    const page = await look(
      `/spend/logs/v2?api_key=${hash(key)}&page_size=2${cursor === null ? '' : `&cursor=${encodeURIComponent(String(cursor))}`}`,
    )
    seen.push(...(page.data as { request_id: string }[]).map(({ request_id }) => request_id))
    cursor = page.next_cursor
    await postChat(product.tollgate, key, CALL)
  } while (cursor !== null)
  expect(seen).toHaveLength(5)
  expect(new Set(seen).size).toBe(5)
  expect(await look(`/spend/logs/v2?api_key=${key}&page_size=2&page=2`)).toMatchObject({
    page: 2,
    total: 8,
    total_pages: 4,
  })
  for (const query of ['cursor=x', 'page_size=0', 'start_date=yesterday', 'start_date=2026-13-01'])
    expect((await manage(product.tollgate, `GET /spend/logs/v2?${query}`)).status).toBe(400)
})

test('An admin sees what the organization spent; a member and a virtual key see nothing.', async () => {
  answers()
  const acme = await product.db.seedOrganization({ credits: 100, users: { alice: 50, bob: 10 } })
  expect((await postChat(product.tollgate, acme.keys.bob, CALL)).status).toBe(200)
  const rows = await look('/spend/logs', acme.keys.alice)
  expect(rows).toMatchObject([{ user: 'bob', spend: 0.003, organization_id: acme.id }])
  expect(await look('/global/spend', acme.keys.alice)).toMatchObject({ spend: 0.003 })
  expect(await look('/global/spend/keys', acme.keys.alice)).toHaveLength(1)
  const virtual = await newVirtualKey(product.tollgate, {})
  for (const key of [acme.keys.bob, virtual])
    for (const path of [
      '/spend/logs',
      '/spend/logs/v2',
      '/spend/keys',
      '/spend/users',
      '/spend/tags',
      '/global/spend',
      '/user/daily/activity',
    ])
      expect((await manage(product.tollgate, `GET ${path}`, undefined, key)).status).toBe(403)
})
