/** An allocation that follows its pool: a service's, which nobody allocates credits to. */
import { expect, test } from 'vitest'
import { balances, close, closeBatch, extend, hold, holdBatch } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()

async function seed(credits: number, users = { service: 0, alice: 0 }) {
  const org = await db.seedOrganization({ credits, users })
  await db.pool.query(
    `update user_credit_allocations set follows_pool = true where org_id = $1 and user_id = 'service'`,
    [org.id],
  )
  return org
}

const asService = { user: 'service' }

test('An allocation that follows its pool takes what a hold is short of, or a 64th of the rest of the pool.', async () => {
  const org = await seed(6_400)
  const { callId } = await hold(db.pool, org.id, { ...asService, output: 10 })
  expect(await balances(db.pool, org.id)).toMatchObject({
    pool: { total: '6400', allocated: '100', held: '10' },
    users: { service: { allocated: '100', used: '0', held: '10' } },
  })
  // What is left of those 100 moves nothing.
  const second = await hold(db.pool, org.id, { ...asService, output: 90 })
  expect((await balances(db.pool, org.id)).pool).toMatchObject({ allocated: '100' })
  const third = await hold(db.pool, org.id, { ...asService, output: 500 })
  expect((await balances(db.pool, org.id)).pool).toMatchObject({ allocated: '600' })
  for (const id of [callId, second.callId, third.callId]) await close(db.pool, org.id, id, 1, 'service')
})

test('An allocation that follows its pool takes all there is where that is not enough, and no more.', async () => {
  const org = await seed(100, { service: 0, alice: 60 })
  expect(await hold(db.pool, org.id, { ...asService, output: 50, least: 50 })).toMatchObject({
    outcome: 'insufficient',
    required: '50',
    available: '40',
  })
  const some = await hold(db.pool, org.id, { ...asService, output: 50, least: 10 })
  expect(some).toMatchObject({ outcome: 'held', held: '40' })
  await close(db.pool, org.id, some.callId, 40, 'service')
})

test.each(['alone', 'in a batch'])('What is left when a call ends counts the rest of the pool: %s.', async (how) => {
  const org = await seed(6_400, { service: 0, alice: 1_000 })
  const { callId } = await hold(db.pool, org.id, { ...asService, output: 10 })
  const { callId: other } = await hold(db.pool, org.id, { user: 'alice', output: 10 })
  const closing = (id: string, user: string) => ({ callId: id, user, charge: 4 })
  const left = async (id: string, user: string) => (await close(db.pool, org.id, id, 4, user)).remaining
  if (how === 'alone') {
    expect([await left(callId, 'service'), await left(other, 'alice')]).toEqual(['5396', '996'])
    // Said again of what is closed.
    expect(await left(callId, 'service')).toBe('5396')
  } else {
    const answers = await closeBatch(db.pool, org.id, [closing(callId, 'service'), closing(other, 'alice')])
    expect(answers.map(({ remaining }) => remaining)).toEqual(['5396', '996'])
  }
})

test('A stream that grows takes more of the pool, also in a batch of calls.', async () => {
  const org = await seed(100)
  const [first, second] = await holdBatch(db.pool, org.id, [
    { ...asService, output: 10 },
    { ...asService, output: 20 },
  ])
  expect([first?.outcome, second?.outcome]).toEqual(['held', 'held'])
  expect(await extend(db.pool, first?.callId ?? '', 80)).toMatchObject({ outcome: 'extended', held: '80' })
  expect(await extend(db.pool, first?.callId ?? '', 81)).toMatchObject({ outcome: 'refused', held: '80' })
  await close(db.pool, org.id, first?.callId ?? '', 80, 'service')
  await close(db.pool, org.id, second?.callId ?? '', 20, 'service')
  expect((await balances(db.pool, org.id)).pool).toMatchObject({ total: '100', allocated: '100', used: '100' })
})

test('SQL callers see and spend the rest of the pool too.', async () => {
  const org = await seed(100)
  const ask = async (credits: number) =>
    (await db.pool.query(`select has_sufficient_credits($1, 'service', $2) as has`, [org.id, credits])).rows[0]?.has
  expect([await ask(100), await ask(101)]).toEqual([true, false])
  await db.pool.query(`select deduct_credits($1, 'service', 100, 'valuation')`, [org.id])
  expect(await ask(1)).toBe(false)
})

test('Many calls at once never hold more than there is.', async () => {
  const org = await seed(100)
  const calls = await Promise.all(Array.from({ length: 30 }, () => hold(db.pool, org.id, { ...asService, output: 10 })))
  const held = calls.filter(({ outcome }) => outcome === 'held')
  expect(held.length).toBe(10)
  for (const { callId } of held) await close(db.pool, org.id, callId, 10, 'service')
})
