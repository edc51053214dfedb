import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { sendHolds } from '../../src/ledger/hold-batch.ts'
import { balances, close, extend, hold, holdBatch, inLine, refusal } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'
import { holdRequest } from '../support/open-ledger.ts'

const db = useDatabase()
const seed = (alice = 100) => db.seedOrganization({ credits: 1_000, users: { alice, bob: 100 } })

describe('a hold', () => {
  test('A hold sets credits aside, apart from what is spent.', async () => {
    const org = await seed()
    expect(await hold(db.pool, org.id, { input: 1, output: 40, least: 5 })).toMatchObject({
      outcome: 'held',
      held: '41',
      remaining: '59',
    })
    expect(await balances(db.pool, org.id)).toEqual({
      pool: { total: '1000', allocated: '200', used: '0', held: '41', overage: '0' },
      users: { alice: { allocated: '100', used: '0', held: '41' }, bob: { allocated: '100', used: '0', held: '0' } },
      entries: 0,
    })
    const { rows } = await db.pool.query("select deduct_credits($1, 'alice', 59, 'valuation') as ok", [org.id])
    expect(rows).toEqual([{ ok: true }])
  })

  test('A hold takes what is left where that covers the least.', async () => {
    const org = await seed()
    expect(await hold(db.pool, org.id, { input: 2, output: 500, least: 98 })).toMatchObject({
      outcome: 'held',
      held: '100',
    })
  })

  test('A hold counts the input at a token a byte where what runs would need the rest at that.', async () => {
    const org = await seed()
    const call = { input: 10, inputBytes: 30, output: 5 }
    const first = await hold(db.pool, org.id, call)
    expect(first).toMatchObject({ outcome: 'held', held: '15' })
    expect(await hold(db.pool, org.id, call)).toMatchObject({ outcome: 'held', held: '15' })
    // Of 100 credits 30 are held, and 40 more would be at a token a byte.
    expect(await hold(db.pool, org.id, call)).toMatchObject({ outcome: 'in_flight', required: '35', available: '30' })
    expect(await hold(db.pool, org.id, { ...call, least: 0 })).toMatchObject({ outcome: 'held', held: '30' })
    await close(db.pool, org.id, first.callId, 12)
    expect(await hold(db.pool, org.id, { input: 1, inputBytes: 22, output: 1 })).toMatchObject({ held: '2' })
  })

  test.each(['in one batch', 'one by one'])('A hold leaves every running stream its next step: %s.', async (how) => {
    const org = await seed()
    const stream = { input: 0, output: 30, step: 30 }
    const answers =
      how === 'in one batch'
        ? await holdBatch(db.pool, org.id, [stream, stream, stream])
        : [
            await hold(db.pool, org.id, stream),
            await hold(db.pool, org.id, stream),
            await hold(db.pool, org.id, stream),
          ]
    // Of 100 credits 60 are held, and each of the two may take 30 more.
    expect(answers).toMatchObject([
      { outcome: 'held', held: '30' },
      { outcome: 'held', held: '30' },
      { outcome: 'in_flight', required: '30', available: '0' },
    ])
    await close(db.pool, org.id, answers[0]!.callId, 12)
    // 88 are left: 30 are held, and the other stream may take 30 more.
    expect(await hold(db.pool, org.id, stream)).toMatchObject({ outcome: 'in_flight', available: '28' })
    expect(await hold(db.pool, org.id, { ...stream, least: 10 })).toMatchObject({ outcome: 'held', held: '28' })
    // One that got less than it wanted does not grow, so nothing is kept for it.
    await close(db.pool, org.id, answers[1]!.callId, 30)
    expect(await hold(db.pool, org.id, { output: 30 })).toMatchObject({ outcome: 'held', held: '30' })
  })

  test.each(['in one batch', 'one by one'])(
    'A hold admits a burst, %s, only as far as it is covered at a token a byte: 120 calls on money for 7 are 7 calls.',
    async (how) => {
      const org = await db.seedOrganization({ credits: 1_000, users: { alice: 70 } })
      const burst = Array.from({ length: 120 }, () => ({ input: 1, inputBytes: 9, output: 1 }))
      const answers =
        how === 'in one batch'
          ? await holdBatch(db.pool, org.id, burst)
          : await Promise.all(burst.map((call) => hold(db.pool, org.id, call)))
      expect(answers.filter(({ outcome }) => outcome === 'held').map(({ held }) => held)).toEqual(Array(7).fill('2'))
      expect(answers.filter(({ outcome }) => outcome === 'in_flight')).toHaveLength(113)
    },
  )

  test('A hold leaves the uncertain part out where nothing else would cover the call, and keeps it from others.', async () => {
    const org = await seed()
    const call = { input: 90, inputBytes: 95, uncertain: 60, output: 10 }
    const other = await hold(db.pool, org.id, { input: 0, output: 20 })
    // 105 would be needed, of 100 in all: 45 are enough.
    const first = await hold(db.pool, org.id, call)
    expect(first).toMatchObject({ outcome: 'held', held: '80' })
    await close(db.pool, org.id, other.callId, 0)
    // 20 are left, and the call may take 25 more.
    expect(await hold(db.pool, org.id, { output: 1 })).toMatchObject({ outcome: 'in_flight', available: '0' })
    await close(db.pool, org.id, first.callId, 105)
    expect(await balances(db.pool, org.id)).toMatchObject({ users: { alice: { used: '105', held: '0' } } })
    expect(await hold(db.pool, org.id, call)).toMatchObject({ outcome: 'insufficient', required: '45', available: '0' })
  })

  test('A hold leaves the uncertain part out for one call of an organization at a time, whoever of its users makes the next one.', async () => {
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 50, bob: 50, carol: 100 } })
    const call = { input: 90, uncertain: 60, output: 10 }
    const first = await hold(db.pool, org.id, call)
    expect(first).toMatchObject({ outcome: 'held', held: '50' })
    expect(await hold(db.pool, org.id, { ...call, user: 'bob' })).toMatchObject({
      outcome: 'in_flight',
      required: '40',
      available: '0',
    })
    expect(await hold(db.pool, org.id, { ...call, user: 'carol' })).toMatchObject({ outcome: 'held', held: '100' })
    await close(db.pool, org.id, first.callId, 100)
    expect(await hold(db.pool, org.id, { ...call, user: 'bob' })).toMatchObject({ outcome: 'held', held: '50' })
  })

  test('A hold waits for running calls where they leave enough for all of it.', async () => {
    const org = await seed()
    await hold(db.pool, org.id, { output: 20 })
    const call = { input: 90, uncertain: 60, output: 10 }
    expect(await hold(db.pool, org.id, call)).toMatchObject({ outcome: 'in_flight', required: '100', available: '80' })
  })

  test('A hold covers the uncertain part too under a further limit.', async () => {
    const org = await seed()
    const budget = { kind: 'team', id: 'uncertain', window_start: '2031-01-01T00:00:00Z', limit_amount: 100 }
    const call = { input: 101, uncertain: 60, output: 10, limits: [budget] }
    expect(await hold(db.pool, org.id, call)).toMatchObject({ outcome: 'limit', required: '111', available: '100' })
  })

  test('A call that costs nothing has a hold all the same.', async () => {
    const org = await seed(0)
    expect(await hold(db.pool, org.id, {})).toMatchObject({ outcome: 'held', held: '0' })
  })

  test('A hold that is sent again returns the same, and takes nothing more.', async () => {
    const org = await seed()
    const callId = randomUUID()
    const first = await hold(db.pool, org.id, { callId, input: 1, output: 40 })
    expect(await hold(db.pool, org.id, { callId, input: 1, output: 40 })).toMatchObject({
      outcome: 'held',
      held: first.held,
      remaining: first.remaining,
    })
    expect((await balances(db.pool, org.id)).pool.held).toBe('41')
  })

  test('A hold sent twice at once is one hold.', async () => {
    const org = await seed()
    const callId = randomUUID()
    const lock = `select from organization_credit_pools where org_id = '${org.id}' for update`
    const send = () => hold(db.pool, org.id, { callId, output: 40 })
    const answers = await inLine(db.pool, lock, 4, () => Promise.all([send(), send(), send(), send()]))
    expect(answers.map((answer) => answer.held)).toEqual(['40', '40', '40', '40'])
    expect((await balances(db.pool, org.id)).pool.held).toBe('40')
  })
})

describe('the holds of a batch', () => {
  test('The holds of a batch together take no more than their user has, each in its turn.', async () => {
    const org = await seed()
    const answers = await holdBatch(db.pool, org.id, [{ output: 50 }, { output: 51 }, { output: 50 }])
    expect(answers).toMatchObject([
      { outcome: 'held', held: '50', remaining: '50' },
      { outcome: 'in_flight', required: '51', available: '50' },
      { outcome: 'held', held: '50', remaining: '0' },
    ])
    expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '100', used: '0', held: '100' })
  })

  test('The holds of a batch together take no more than the pool has, whatever each of their users has left.', async () => {
    const org = await db.seedOrganization({ credits: 160, users: { alice: 60, bob: 40, carol: 60 } })
    const { callId } = await hold(db.pool, org.id, { user: 'bob', output: 40 })
    await close(db.pool, org.id, callId, 120, 'bob')
    const answers = await holdBatch(db.pool, org.id, [{ output: 30 }, { user: 'carol', output: 30 }])
    expect(answers).toMatchObject([
      { outcome: 'held', held: '30', remaining: '30' },
      { outcome: 'in_flight', required: '30', available: '10', remaining: '60' },
    ])
    expect((await balances(db.pool, org.id)).pool).toMatchObject({ used: '120', held: '30' })
  })
})

describe('a hold is refused, and nothing changes,', () => {
  test('A hold is refused, and nothing changes, when money is out: insufficient.', async () => {
    const org = await seed()
    expect(await hold(db.pool, org.id, { input: 51, output: 100, least: 50 })).toMatchObject({
      outcome: 'insufficient',
      held: null,
      required: '101',
      available: '100',
    })
    expect((await balances(db.pool, org.id)).pool.held).toBe('0')
  })

  test('A hold is refused, and nothing changes, when running calls have it: in_flight.', async () => {
    const org = await seed()
    const running = await hold(db.pool, org.id, { output: 60 })
    expect(await hold(db.pool, org.id, { output: 41 })).toMatchObject({
      outcome: 'in_flight',
      required: '41',
      available: '40',
    })
    expect(await hold(db.pool, org.id, { output: 101 })).toMatchObject({ outcome: 'insufficient', available: '40' })
    await close(db.pool, org.id, running.callId, null)
    expect(await hold(db.pool, org.id, { output: 41 })).toMatchObject({ outcome: 'held' })
  })

  test('A hold is refused, and nothing changes, when running calls have what is left of the overage: in_flight.', async () => {
    const org = await seed()
    await db.pool.query(
      'update organization_credit_pools set allow_overage = true, overage_limit = 50 where org_id = $1',
      [org.id],
    )
    await hold(db.pool, org.id, { output: 120 })
    expect(await hold(db.pool, org.id, { output: 40 })).toMatchObject({ outcome: 'in_flight', available: '30' })
    expect(await hold(db.pool, org.id, { output: 150 })).toMatchObject({ outcome: 'in_flight' })
    expect(await hold(db.pool, org.id, { output: 151 })).toMatchObject({ outcome: 'insufficient' })
  })

  test('A user without an allocation, or with one switched off, or in an organization that is not active, gets no hold.', async () => {
    const org = await seed()
    expect(await hold(db.pool, org.id, { user: 'nobody' })).toMatchObject({ outcome: 'no_allocation' })
    expect(await hold(db.pool, randomUUID(), {})).toMatchObject({ outcome: 'no_allocation' })
    await db.pool.query("update user_credit_allocations set is_active = false where org_id = $1 and user_id = 'bob'", [
      org.id,
    ])
    expect(await hold(db.pool, org.id, { user: 'bob' })).toMatchObject({ outcome: 'no_allocation' })
    await db.pool.query("update organizations set status = 'suspended' where id = $1", [org.id])
    expect(await hold(db.pool, org.id, {})).toMatchObject({ outcome: 'suspended' })
  })
})

test.each([1, 2])('An organization suspended while %i of its calls wait in line has no hold.', async (count) => {
  const org = await seed()
  const suspend = `select 1 from organization_credit_pools where org_id = '${org.id}' for update;
    update organizations set status = 'suspended' where id = '${org.id}'`
  const calls = Array.from({ length: count }, () => ({ output: 1 }))
  const answers = await inLine(db.pool, suspend, 1, () => holdBatch(db.pool, org.id, calls))
  expect(answers.map(({ outcome }) => outcome)).toEqual(calls.map(() => 'suspended'))
})

test('An allocation whose organization has no pool counts as none, whoever asks, and the audit names it.', async () => {
  const [org, other] = [await seed(), await seed()]
  const owner = randomUUID()
  const client = new pg.Client({ connectionString: db.url })
  await client.connect()
  try {
    await client.query('begin')
    await client.query('delete from organization_credit_pools where org_id = $1', [org.id])
    expect(await hold(client, org.id, { output: 1 })).toMatchObject({ outcome: 'no_allocation', held: null })
    await client.query(
      "insert into tollgate.ledger_processes (id, host, pid, version, lease_until) values ($1, 'test', 1, 'test', 'infinity')",
      [owner],
    )
    const one = await sendHolds(client, owner, [holdRequest(org)])
    expect(one).toMatchObject([{ outcome: 'no_allocation', held: null }])
    const two = await sendHolds(client, owner, [holdRequest(org), holdRequest(org)])
    expect(two).toMatchObject([{ outcome: 'no_allocation' }, { outcome: 'no_allocation' }])
    const mixed = await sendHolds(client, owner, [holdRequest(org), holdRequest(other)])
    expect(mixed).toMatchObject([
      { outcome: 'no_allocation', held: null },
      { outcome: 'held', held: '10.000000' },
    ])
    const enough = await client.query("select has_sufficient_credits($1, 'alice', 1) as enough", [org.id])
    expect(enough.rows).toEqual([{ enough: false }])
    const { rows } = await client.query<{ finding: string }>(
      'select finding, org_id, user_id from tollgate.ledger_audit()',
    )
    const finding = 'an allocation belongs to an organization without a pool'
    expect(rows.toSorted((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)))).toEqual(
      ['alice', 'bob'].map((user) => ({ finding, org_id: org.id, user_id: user })),
    )
    const deducted = client.query("select deduct_credits($1, 'alice', 1, 'valuation')", [org.id])
    expect(await refusal(deducted)).toMatchObject({
      code: 'P0001',
      message: `No credit allocation found for user alice in org ${org.id}`,
    })
  } finally {
    await client.query('rollback')
    await client.end()
  }
})

describe('extending a hold', () => {
  test('Extending a hold makes it the size wanted; sent again, it changes nothing.', async () => {
    const org = await seed()
    const { callId } = await hold(db.pool, org.id, { output: 10 })
    expect(await extend(db.pool, callId, 30)).toEqual({ outcome: 'extended', held: '30' })
    expect(await extend(db.pool, callId, 30)).toEqual({ outcome: 'extended', held: '30' })
    expect(await extend(db.pool, callId, 20)).toEqual({ outcome: 'extended', held: '30' })
    expect((await balances(db.pool, org.id)).users.alice?.held).toBe('30')
  })

  test('Extending a hold takes what is left where that covers the least, else refuses.', async () => {
    const org = await seed()
    const { callId } = await hold(db.pool, org.id, { output: 10 })
    await hold(db.pool, org.id, { output: 50 })
    expect(await extend(db.pool, callId, 80, 51)).toEqual({ outcome: 'refused', held: '10' })
    expect(await extend(db.pool, callId, 80, 50)).toEqual({ outcome: 'extended', held: '50' })
    expect(await extend(db.pool, callId, 80, 51)).toEqual({ outcome: 'refused', held: '50' })
    expect((await balances(db.pool, org.id)).users.alice?.held).toBe('100')
  })

  test('The hold of a call that is over, or unknown, is not extended.', async () => {
    const org = await seed()
    const { callId } = await hold(db.pool, org.id, { output: 10 })
    await close(db.pool, org.id, callId, 7)
    expect(await extend(db.pool, callId, 30)).toEqual({ outcome: 'closed', held: '10' })
    expect(await extend(db.pool, randomUUID(), 30)).toEqual({ outcome: 'unknown', held: null })
    expect((await balances(db.pool, org.id)).pool.held).toBe('0')
  })
})
