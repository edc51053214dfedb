import { describe, expect, test } from 'vitest'
import { balances, close, hold, touch } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()

async function seedWithOverage(limit: number | null): Promise<string> {
  const { id } = await db.seedOrganization({ credits: 300, users: { alice: 100, bob: 100 } })
  await db.pool.query(
    'update organization_credit_pools set allow_overage = true, overage_limit = $2 where org_id = $1',
    [id, limit],
  )
  return id
}

const overage = async (id: string) => (await balances(db.pool, id)).pool.overage

describe('where overage is allowed', () => {
  test('Where overage is allowed the users of an organization go below zero together by its limit at most.', async () => {
    const id = await seedWithOverage(50)
    const alice = await hold(db.pool, id, { output: 130 })
    expect(alice).toMatchObject({ outcome: 'held', held: '130', remaining: '-30' })
    expect(await overage(id)).toBe('30')
    expect(await hold(db.pool, id, { user: 'bob', output: 121 })).toMatchObject({
      outcome: 'insufficient',
      available: '120',
    })
    const bob = await hold(db.pool, id, { user: 'bob', output: 120 })
    expect(bob).toMatchObject({ outcome: 'held', remaining: '-20' })
    expect(await overage(id)).toBe('50')
    expect(await hold(db.pool, id, { output: 0.000001 })).toMatchObject({ available: '0' })
    await close(db.pool, id, bob.callId, 90, 'bob')
    expect(await overage(id)).toBe('30')
    await close(db.pool, id, alice.callId, 130)
    expect(await overage(id)).toBe('30')
    expect(await hold(db.pool, id, { output: 20 })).toMatchObject({ outcome: 'held' })
    expect(await overage(id)).toBe('50')
  })

  test('Where overage is allowed many at once go below zero by the limit, exactly.', async () => {
    const id = await seedWithOverage(50)
    const users = ['alice', 'bob']
    const holds = Array.from({ length: 60 }, (_, index) =>
      hold(db.pool, id, { user: users[index % 2] ?? '', output: 5 }),
    )
    const held = (await Promise.all(holds)).filter((answer) => answer.outcome === 'held')
    expect(held).toHaveLength(50)
    expect(await balances(db.pool, id)).toMatchObject({ pool: { held: '250', overage: '50' } })
  })

  test('Where overage is allowed deduct_credits and has_sufficient_credits have it too.', async () => {
    const id = await seedWithOverage(50)
    const { rows } = await db.pool.query(
      "select has_sufficient_credits($1, 'alice', 150) as yes, has_sufficient_credits($1, 'alice', 150.000001) as no",
      [id],
    )
    expect(rows).toEqual([{ yes: true, no: false }])
    await db.pool.query("select deduct_credits($1, 'alice', 150, 'valuation')", [id])
    expect(await balances(db.pool, id)).toMatchObject({
      pool: { used: '150', overage: '50' },
      users: { alice: { allocated: '100', used: '150' } },
    })
  })

  test('Credits given to a user who is below zero make room.', async () => {
    const id = await seedWithOverage(50)
    await db.pool.query("select deduct_credits($1, 'alice', 150, 'valuation')", [id])
    await db.pool.query("select allocate_credits_to_user($1, 'alice', 20)", [id])
    expect(await overage(id)).toBe('30')
    expect(await hold(db.pool, id, { output: 21 })).toMatchObject({ outcome: 'insufficient', available: '20' })
  })

  test('Where overage is allowed a reset makes room as far as the pool reaches.', async () => {
    const id = await seedWithOverage(50)
    await db.pool.query("select deduct_credits($1, 'alice', 150, 'valuation')", [id])
    await db.moveClock('65 days')
    await touch(db.pool, id)
    expect(await balances(db.pool, id)).toMatchObject({
      pool: { total: '300', allocated: '300', used: '150', overage: '0' },
      users: { alice: { allocated: '100', used: '50' } },
    })
  })

  test('Without a limit of overage nothing is refused, and everything is booked.', async () => {
    const id = await seedWithOverage(null)
    const { callId } = await hold(db.pool, id, { output: 1_000_000 })
    await close(db.pool, id, callId, 900_000)
    expect(await balances(db.pool, id)).toMatchObject({ pool: { used: '900000', overage: '899900' } })
  })
})

test('The pool of callers without an organization has overage without a limit.', async () => {
  const { rows } = await db.pool.query<{ id: string }>("select id from organizations where name = 'default'")
  const id = rows[0]?.id ?? ''
  await db.pool.query("select allocate_credits_to_user($1, 'master', 0)", [id])
  const { callId } = await hold(db.pool, id, { user: 'master', output: 5_000 })
  await close(db.pool, id, callId, 4_000, 'master')
  expect(await balances(db.pool, id)).toEqual({
    pool: { total: '0', allocated: '0', used: '4000', held: '0', overage: '4000' },
    users: { master: { allocated: '0', used: '4000', held: '0' } },
    entries: 1,
  })
})
