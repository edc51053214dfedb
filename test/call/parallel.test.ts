/** Many calls at once over two processes and one database: exactly as many start as there is money for. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { balanceOf, rowsOf } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { type CallAnswer, configFor, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { chatAnswer } from '../support/upstream-answers.ts'

const product = useProduct()
let second: Tollgate
beforeAll(async () => {
  second = await startTollgate({ databaseUrl: product.db.url, config: configFor(product.upstream.url) })
})
afterAll(() => second.stop())

/** 100 tokens at $0.00002 and 50 % on top: 3 credits, held and charged. */
const CALL = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Count to a hundred' }] }
const USAGE = { prompt_tokens: 7, completion_tokens: 100, total_tokens: 107 }

function call(key: string, n: number): Promise<CallAnswer> {
  return postChat(n % 2 === 0 ? product.tollgate : second, key, CALL)
}

function count(answers: readonly CallAnswer[], status: number): number {
  return answers.filter((answer) => answer.status === status).length
}

test('Of 64 calls with money for 10, 10 run, and 54 are told that running calls hold it.', async () => {
  const { db, upstream } = product
  const acme = await db.seedOrganization({ credits: 100, users: { alice: 30 } })
  const before = upstream.tally.calls
  // No answer before every refusal: what is held counts, not only what is spent.
  const refused = Promise.withResolvers<void>()
  upstream.respond(chatAnswer({ model: 'exact', usage: USAGE, beforeHead: refused.promise }))
  let refusals = 0
  const answers = await Promise.all(
    Array.from({ length: 64 }, async (_, n) => {
      const answer = await call(acme.keys.alice, n)
      if (answer.status !== 200) refusals += 1
      if (refusals === 54) refused.resolve()
      return answer
    }),
  )
  expect([count(answers, 200), count(answers, 402)]).toEqual([10, 54])
  expect(upstream.tally.calls - before).toBe(10)
  for (const answer of answers.filter(({ status }) => status === 402)) {
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(answer.headers.get('x-should-retry')).toBe('true')
    expect(answer.json()).toMatchObject({ error: { code: 'credits_in_flight', required: '3', available: '0' } })
  }
  expect(await balanceOf(db.pool, acme.id, 'alice')).toEqual({
    used: '30.000000',
    remaining: '0.000000',
    held: '0.000000',
  })
  const rows = await rowsOf(db.pool, acme.id)
  expect(rows.map(({ credits_used }) => credits_used)).toEqual(Array(10).fill('3.000000'))
})

test('Without waiting 10 calls run, and when they are over the others are refused for lack of credits.', async () => {
  const { db, upstream } = product
  const acme = await db.seedOrganization({ credits: 100, users: { alice: 31 } })
  const before = upstream.tally.calls
  upstream.respond(chatAnswer({ model: 'exact', usage: USAGE }))
  const answers = await Promise.all(Array.from({ length: 64 }, (_, n) => call(acme.keys.alice, n)))
  expect([count(answers, 200), count(answers, 402)]).toEqual([10, 54])
  expect(upstream.tally.calls - before).toBe(10)
  expect(await balanceOf(db.pool, acme.id, 'alice')).toEqual({
    used: '30.000000',
    remaining: '1.000000',
    held: '0.000000',
  })
  const late = await call(acme.keys.alice, 0)
  expect(late.status).toBe(402)
  expect(late.headers.get('x-should-retry')).toBe('false')
  expect(late.json()).toMatchObject({ error: { code: 'insufficient_credits', required: '3', available: '1' } })
})

test('deduct_credits in SQL spends through the same gate: calls and deductions together are 10.', async () => {
  const { db, upstream } = product
  const acme = await db.seedOrganization({ credits: 100, users: { alice: 30 } })
  const before = upstream.tally.calls
  upstream.respond(chatAnswer({ model: 'exact', usage: USAGE }))
  let deducted = 0
  const deductions = Array.from({ length: 16 }, () =>
    db.pool.query("select deduct_credits($1, 'alice', 3, 'image')", [acme.id]).then(
      () => {
        deducted += 1
        return null
      },
      (error: Error) => error.message.replace(/: .*/, ''),
    ),
  )
  const answers = await Promise.all(Array.from({ length: 48 }, (_, n) => call(acme.keys.alice, n)))
  const refusals = (await Promise.all(deductions)).filter((message) => message !== null)
  const ran = count(answers, 200)
  expect(ran + deducted).toBe(10)
  expect(count(answers, 402)).toBe(48 - ran)
  expect(new Set(refusals)).toEqual(new Set(refusals.length === 0 ? [] : ['Insufficient credits']))
  expect(upstream.tally.calls - before).toBe(ran)
  expect(await balanceOf(db.pool, acme.id, 'alice')).toEqual({
    used: '30.000000',
    remaining: '0.000000',
    held: '0.000000',
  })
  expect(await rowsOf(db.pool, acme.id)).toHaveLength(10)
})

test('Of 200 calls of a key whose limit leaves 37, over two processes, 37 run; the others are told which limit it is.', async () => {
  const { db, upstream } = product
  const acme = await db.seedOrganization({ credits: 5_000, users: { alice: 2_000, bob: 1_000 } })
  await db.pool.query(
    "insert into tollgate.ledger_limits (kind, id, window_start, limit_amount) values ('key', $1, tollgate.ledger_all_time(), 113)",
    [acme.keyIds.alice],
  )
  const before = upstream.tally.calls
  upstream.respond(chatAnswer({ model: 'exact', usage: USAGE }))
  const neighbours = Array.from({ length: 20 }, (_, n) => call(acme.keys.bob, n))
  const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => call(acme.keys.alice, n)))
  expect([count(answers, 200), count(answers, 429)]).toEqual([37, 163])
  expect(count(await Promise.all(neighbours), 200)).toBe(20)
  expect(upstream.tally.calls - before).toBe(57)
  const limit = { limit: 'key', limit_id: acme.keyIds.alice, limit_unit: 'credits', limit_amount: 113, resets_at: null }
  for (const answer of answers.filter(({ status }) => status === 429))
    expect(answer.json()).toMatchObject({ error: { code: 'budget_exceeded', required: '3', ...limit } })
  const { rows } = await db.pool.query(
    "select trim_scale(held) as held, trim_scale(used) as used from tollgate.ledger_limits where kind = 'key' and id = $1",
    [acme.keyIds.alice],
  )
  expect(rows).toEqual([{ held: '0', used: '111' }])
})
