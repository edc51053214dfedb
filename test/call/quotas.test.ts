/** Calls of a day and a month by tier: exactly so many run over two processes, and every response says how many are left. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rowsOf } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import {
  type CallAnswer,
  configFor,
  type ExtraConfig,
  get,
  MASTER_KEY,
  postChat,
  startTollgate,
  type Tollgate,
} from '../support/tollgate.ts'
import { chat, chatAnswer, errorAnswer } from '../support/upstream-answers.ts'

const TIERS: ExtraConfig = {
  tollgate: {
    tiers: {
      tiny: { calls_per_day: 20, calls_per_month: 30 },
      single: { calls_per_day: 1 },
      monthly: { calls_per_day: 'unlimited', calls_per_month: 2 },
    },
  },
  litellm_settings: { num_retries: 0 },
}
const product = useProduct(() => TIERS)
let second: Tollgate
beforeAll(async () => {
  second = await startTollgate({ databaseUrl: product.db.url, config: configFor(product.upstream.url, TIERS) })
})
afterAll(() => second.stop())

const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }

async function seeded(tier: string) {
  const acme = await product.db.seedOrganization({ credits: 10_000, users: { alice: 4_000, bob: 4_000 } })
  await product.db.pool.query('update organizations set plan_tier = $2 where id = $1', [acme.id, tier])
  product.upstream.respond(chat())
  return acme
}

/** Limit, Remaining, Reset, Tier. */
function stated({ headers }: CallAnswer): (string | null)[] {
  return ['limit', 'remaining', 'reset', 'tier'].map((name) => headers.get(`x-ratelimit-${name}`))
}

/** Seconds since 1970 of an instant. */
const seconds = (iso: string) => `${Date.parse(iso) / 1000}`

test('Of 64 calls over two processes a tier of 20 a day has 20 served, and each is told a different number of calls left.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await seeded('tiny')
  const before = upstream.tally.calls
  const answers = await Promise.all(
    Array.from({ length: 64 }, (_, n) => postChat(n % 2 === 0 ? tollgate : second, acme.keys.alice, HELLO)),
  )
  const served = answers.filter(({ status }) => status === 200)
  const refused = answers.filter(({ status }) => status === 429)
  expect([served.length, refused.length]).toEqual([20, 44])
  expect(upstream.tally.calls - before).toBe(20)
  const left = served.map((answer) => Number(answer.headers.get('x-ratelimit-remaining')))
  expect(left.sort((a, b) => b - a)).toEqual(Array.from({ length: 20 }, (_, n) => 19 - n))
  for (const { headers } of refused) expect(headers.get('x-ratelimit-remaining')).toBe('0')
  expect(await rowsOf(db.pool, acme.id)).toHaveLength(20)
  // Another user of the organization has calls of their own.
  expect(stated(await postChat(second, acme.keys.bob, HELLO)).slice(0, 2)).toEqual(['20', '19'])
})

test('The refusal says which quota is used up, since when it is and until when, in the words and headers of the contract.', async () => {
  const { db, tollgate } = product
  const acme = await seeded('tiny')
  await db.setNow('2030-03-10T08:00:00Z')
  const calls = Array.from({ length: 20 }, () => postChat(tollgate, acme.keys.alice, HELLO))
  expect((await Promise.all(calls)).map(({ status }) => status)).toEqual(Array(20).fill(200))
  const refused = await postChat(second, acme.keys.alice, HELLO)
  expect(refused.status).toBe(429)
  expect(stated(refused)).toEqual(['20', '0', seconds('2030-03-11T00:00:00Z'), 'tiny'])
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(refused.headers.get('x-should-retry')).toBe('false')
  const message = 'Rate limit exceeded. Daily limit: 20 calls. Used: 20. Resets on 2030-03-11.'
  expect(refused.json()).toEqual({
    error: {
      ...{ message, type: 'rate_limit_error', param: null, code: 'quota_exceeded' },
      ...{ tier: 'tiny', used: 20, limit: 20, remaining: 0, reset_date: '2030-03-11T00:00:00.000Z' },
    },
    detail: message,
  })
  await db.setNow('2030-03-11T00:00:00Z')
  const next = Array.from({ length: 12 }, (_, n) => postChat(n % 2 === 0 ? tollgate : second, acme.keys.alice, HELLO))
  const answers = await Promise.all(next)
  // Ten of the month are left.
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(10)
  const monthly = answers.find(({ status }) => status === 429)
  expect(stated(monthly!)).toEqual(['30', '0', seconds('2030-04-01T00:00:00Z'), 'tiny'])
  expect(monthly!.json()).toMatchObject({
    detail: 'Rate limit exceeded. Monthly limit: 30 calls. Used: 30. Resets on 2030-04-01.',
  })
  await db.setNow('2030-04-01T00:00:00Z')
  expect(stated(await postChat(tollgate, acme.keys.alice, HELLO)).slice(0, 2)).toEqual(['20', '19'])
})

test('A call that failed does not count against the quota; a running one counts until it fails.', async () => {
  const { tollgate, upstream } = product
  const acme = await seeded('single')
  const gate = Promise.withResolvers<void>()
  upstream.respond({ ...errorAnswer(500, { message: 'down' }), beforeHead: gate.promise })
  const before = upstream.requests.length
  const failing = postChat(tollgate, acme.keys.alice, HELLO)
  await upstream.received(before + 1)
  expect((await postChat(second, acme.keys.alice, HELLO)).status).toBe(429)
  gate.resolve()
  expect((await failing).status).toBe(503)
  upstream.respond(chat())
  expect((await postChat(second, acme.keys.alice, HELLO)).status).toBe(200)
  expect((await postChat(tollgate, acme.keys.alice, HELLO)).status).toBe(429)
})

test('A quota of the month alone is stated; a change of the tier counts at once and keeps what was called.', async () => {
  const { db, tollgate } = product
  const acme = await seeded('monthly')
  await db.setNow('2030-12-31T23:59:59Z')
  expect(stated(await postChat(tollgate, acme.keys.alice, HELLO))).toEqual([
    ...['2', '1', seconds('2031-01-01T00:00:00Z'), 'monthly'],
  ])
  const path = `/api/v1/org-billing/organizations/${acme.id}/tier`
  const change = (key: string, tier: string) =>
    fetch(`${tollgate.url}${path}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ tier }),
    })
  expect((await change(acme.keys.alice, 'enterprise')).status).toBe(403)
  const changed = await change(MASTER_KEY, 'Tiny')
  expect([changed.status, await changed.json()]).toMatchObject([200, { plan_tier: 'tiny' }])
  // Known for a second at most.
  await expect
    .poll(async () => (await postChat(tollgate, acme.keys.alice, { model: 'nobody' })).headers.get('x-ratelimit-tier'))
    .toBe('tiny')
  expect(stated(await postChat(tollgate, acme.keys.alice, HELLO)).slice(0, 2)).toEqual(['20', '19'])
  const { rows } = await db.pool.query(
    'select trim_scale(used)::text as used, limit_amount::int as most from tollgate.ledger_limits where id like $1 order by used',
    [`${acme.id}/alice/%`],
  )
  expect(rows).toEqual([
    { used: '1', most: 20 },
    { used: '2', most: 30 },
  ])
})

const USER = [{ role: 'user', content: 'Say hello' }]
const DIALECTS: [string, string, object, object][] = [
  ['chat completions', '/v1/chat/completions', HELLO, { ...HELLO, model: 'nobody' }],
  ["Ops-Center's chat", '/api/v1/llm/chat/completions', HELLO, { ...HELLO, messages: 1 }],
  [
    'completions',
    '/v1/completions',
    { model: 'gpt-4o-mini', prompt: 'Say hello' },
    { model: 'gpt-4o-mini', prompt: {} },
  ],
  ['messages', '/v1/messages', { model: 'gpt-4o-mini', max_tokens: 9, messages: USER }, { model: 'gpt-4o-mini' }],
  ['responses', '/v1/responses', { model: 'gpt-4o-mini', input: 'Say hello' }, { model: 'nobody', input: 'Say hello' }],
  [
    "Gemini's generateContent",
    '/v1beta/models/gpt-4o-mini:generateContent',
    { contents: [{ role: 'user', parts: [{ text: 'Say hello' }] }] },
    { contents: 1 },
  ],
]

describe('every response of a model', () => {
  test.each(DIALECTS)('%s states the calls that are left, also where it refuses.', async (_, path, right, wrong) => {
    const { db, tollgate } = product
    const acme = await seeded('tiny')
    await db.setNow('2030-03-10T08:00:00Z')
    const ask = (body: object) => postChat(tollgate, acme.keys.alice, body, { path })
    const end = seconds('2030-03-11T00:00:00Z')
    const refused = await ask(wrong)
    expect(refused.status).toBeGreaterThanOrEqual(400)
    expect(stated(refused)).toEqual(['20', '20', end, 'tiny'])
    const answered = await ask(right)
    expect(answered.status).toBe(200)
    expect(stated(answered)).toEqual(['20', '19', end, 'tiny'])
    expect(stated(await ask(wrong))).toEqual(['20', '19', end, 'tiny'])
    await product.db.pool.query("update organizations set plan_tier = 'single' where id = $1", [acme.id])
    await expect.poll(async () => (await ask(wrong)).headers.get('x-ratelimit-tier')).toBe('single')
    const exceeded = await ask(right)
    expect([exceeded.status, ...stated(exceeded)]).toEqual([429, '1', '0', end, 'single'])
    expect(JSON.stringify(exceeded.json())).toContain('Daily limit: 1 calls. Used: 1. Resets on 2030-03-11.')
  })

  test('A stream states them, and so does one that is refused for want of credits.', async () => {
    const { tollgate } = product
    const acme = await seeded('tiny')
    const stream = await postChat(tollgate, acme.keys.alice, { ...HELLO, stream: true })
    expect([stream.status, ...stated(stream).slice(0, 2)]).toEqual([200, '20', '19'])
    const poor = await product.db.seedOrganization({ credits: 1, users: { eve: 0 } })
    await product.db.pool.query("update organizations set plan_tier = 'tiny' where id = $1", [poor.id])
    const refused = await postChat(tollgate, poor.keys.eve, HELLO)
    expect([refused.status, ...stated(refused).slice(0, 2)]).toEqual([402, '20', '20'])
  })

  test('A repeated Idempotency-Key is no second call.', async () => {
    const { tollgate } = product
    const acme = await seeded('tiny')
    const ask = () => postChat(tollgate, acme.keys.alice, HELLO, { headers: { 'idempotency-key': 'once' } })
    expect((await ask()).status).toBe(200)
    const again = await ask()
    expect([again.status, ...stated(again).slice(0, 2)]).toEqual([200, '20', '19'])
  })

  test.each(['founders_friend', 'enterprise', 'vip_founder'])('The tier %s is unlimited.', async (tier) => {
    const { db, tollgate } = product
    const acme = await seeded(tier)
    const answer = await postChat(tollgate, acme.keys.alice, HELLO)
    const [limit, remaining, reset, named] = stated(answer)
    expect([limit, remaining, named]).toEqual(['unlimited', 'unlimited', tier.replace('_', '-')])
    expect(Number(reset)).toBeGreaterThan(Date.now() / 1000)
    const { rows } = await db.pool.query("select 1 from tollgate.ledger_limits where kind = 'quota' and id like $1", [
      `${acme.id}%`,
    ])
    expect(rows).toEqual([])
  })

  test('The plan byok is unlimited, whatever the tier.', async () => {
    const { db, tollgate, upstream } = product
    const acme = await db.seedOrganization({ plan: 'byok', credits: 100, users: { alice: 50 } })
    await db.pool.query("update organizations set plan_tier = 'single' where id = $1", [acme.id])
    upstream.respond(chatAnswer())
    expect(stated(await postChat(tollgate, acme.keys.alice, HELLO))[3]).toBe('byok')
  })

  test('Without a key nothing is stated, and management routes are not counted.', async () => {
    const { tollgate } = product
    const acme = await seeded('tiny')
    expect(stated(await postChat(tollgate, null, HELLO))).toEqual([null, null, null, null])
    expect((await get(tollgate, acme.keys.alice, '/v1/models')).headers.get('x-ratelimit-tier')).toBe(null)
    expect(stated(await postChat(tollgate, acme.keys.alice, HELLO)).slice(0, 2)).toEqual(['20', '19'])
  })
})
