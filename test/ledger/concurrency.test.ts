import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { connect, type Database } from '../../src/db/connect.ts'
import { sendCloses } from '../../src/ledger/close-batch.ts'
import { sendHolds } from '../../src/ledger/hold-batch.ts'
import type { HoldRequest } from '../../src/ledger/ledger.ts'
import { sendProgress } from '../../src/ledger/progress-batch.ts'
import { balances, close, extend, hold, inLine, type Limit, refusal, waitingForLock } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'
import { credit, holdRequest, settlementOf } from '../support/open-ledger.ts'

const db = useDatabase()
let eight: Database

beforeAll(() => {
  eight = connect(db.url, { maxConnections: 8 })
})
afterAll(() => eight.close())

async function deducted(work: Promise<unknown>): Promise<boolean> {
  try {
    await work
    return true
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.message.startsWith('Insufficient credits')) return false
    throw error
  }
}

describe('many at once', () => {
  test('Many deduct_credits at once for ten times what is there spend exactly what is there.', async () => {
    const org = await db.seedOrganization({ credits: 500, users: { alice: 500 } })
    const calls = Array.from({ length: 100 }, (_, index) =>
      deducted(
        eight.pool.query("select deduct_credits($1, 'alice', 50, 'valuation', null, $2)", [org.id, `r${index}`]),
      ),
    )
    expect((await Promise.all(calls)).filter(Boolean)).toHaveLength(10)
    expect(await balances(db.pool, org.id)).toEqual({
      pool: { total: '500', allocated: '500', used: '500', held: '0', overage: '0' },
      users: { alice: { allocated: '500', used: '500', held: '0' } },
      entries: 10,
    })
  })

  test('Of 64 holds at once with money for ten, ten are held.', async () => {
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
    const answers = await Promise.all(Array.from({ length: 64 }, () => hold(eight.pool, org.id, { output: 10 })))
    expect(answers.filter((answer) => answer.outcome === 'held')).toHaveLength(10)
    expect(answers.filter((answer) => answer.outcome === 'in_flight')).toHaveLength(54)
    expect((await balances(db.pool, org.id)).pool.held).toBe('100')
  })

  test('Holds and deductions together take what is there, and no more.', async () => {
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
    const calls = Array.from({ length: 64 }, (_, index) =>
      index % 2 === 0
        ? hold(eight.pool, org.id, { output: 10 }).then((answer) => answer.outcome === 'held')
        : deducted(eight.pool.query("select deduct_credits($1, 'alice', 10, 'valuation')", [org.id])),
    )
    expect((await Promise.all(calls)).filter(Boolean)).toHaveLength(10)
    const { pool } = await balances(db.pool, org.id)
    expect(Number(pool.held) + Number(pool.used)).toBe(100)
  })

  test('Allocations of one pool at once hand out what it has, and no more.', async () => {
    const org = await db.seedOrganization({ credits: 100, users: { alice: 0 } })
    const calls = Array.from({ length: 40 }, (_, index) =>
      deducted(eight.pool.query('select allocate_credits_to_user($1, $2, 10)', [org.id, `user-${index % 4}`])),
    )
    expect((await Promise.all(calls)).filter(Boolean)).toHaveLength(10)
    expect((await balances(db.pool, org.id)).pool).toMatchObject({ total: '100', allocated: '100' })
  })

  test('Purchases at once make one pool.', async () => {
    const { rows } = await db.pool.query<{ id: string }>("insert into organizations (name) values ('new') returning id")
    const id = rows[0]?.id ?? ''
    await Promise.all(Array.from({ length: 16 }, () => eight.pool.query('select add_credits_to_pool($1, 5)', [id])))
    expect((await balances(db.pool, id)).pool.total).toBe('80')
  })
})

test('A settle and a hold of different organizations lock the limits they share in the same order.', async () => {
  const acme = await db.seedOrganization({ credits: 100, users: { alice: 100 } })
  const other = await db.seedOrganization({ credits: 100, users: { alice: 100 } })
  const limit = (kind: string): Limit => ({
    kind,
    id: acme.id,
    window_start: '2030-01-01T00:00:00Z',
    limit_amount: 100,
  })
  const { callId } = await hold(db.pool, acme.id, { output: 10, limits: [limit('a'), limit('b')] })
  // With this many rows PostgreSQL reads the table from its beginning, and there the second limit now comes first.
  await db.pool.query(
    "insert into tollgate.ledger_limits (kind, id, window_start) select 'c', n, now() from generate_series(1, 300) n",
  )
  await db.pool.query('vacuum full analyze tollgate.ledger_limits')
  await db.pool.query("update tollgate.ledger_limits set held = held where kind = 'a'")
  const lock = `select from tollgate.ledger_limits where kind = 'a' and id = '${acme.id}' for update`
  const [, settled] = await inLine(db.pool, lock, 2, () =>
    Promise.all([
      hold(db.pool, other.id, { output: 5, limits: [limit('b'), limit('a')] }),
      close(db.pool, acme.id, callId, 7),
    ]),
  )
  expect(settled.charged).toBe('7')
  const { rows } = await db.pool.query(
    'select kind, trim_scale(held) as held, trim_scale(used) as used from tollgate.ledger_limits where id = $1 order by kind',
    [acme.id],
  )
  expect(rows).toEqual([
    { kind: 'a', held: '5', used: '7' },
    { kind: 'b', held: '5', used: '7' },
  ])
})

describe('two batches of the same calls in different orders lock the holds by their ids: no deadlock', () => {
  type Batch = (client: pg.Client, calls: readonly HoldRequest[]) => Promise<unknown[]>
  const closeAll: Batch = (client, calls) =>
    sendCloses(
      client,
      calls.map((call) => ({ state: 'settled', closing: settlementOf(call, credit) })),
    )
  const noteAll: Batch = (client, calls) =>
    sendProgress(
      client,
      calls.map(({ callId, organizationId }) => ({
        callId,
        organizationId,
        delivered: { credits: credit, apiCost: credit / 2n },
        hold: null,
      })),
    )

  test.for([
    { name: 'closings', first: closeAll, second: closeAll },
    { name: 'checkpoints', first: noteAll, second: noteAll },
    { name: 'a closing and a checkpoint', first: closeAll, second: noteAll },
  ])(
    'Two batches of the same calls in different orders lock the holds by their ids, without a deadlock: $name',
    async ({ first, second }) => {
      const org = await db.seedOrganization({ credits: 1_000, users: { alice: 1_000 } })
      const [one, other] = [await session(), await session()]
      const owner = randomUUID()
      await db.pool.query(
        "insert into tollgate.ledger_processes (id, host, pid, version, lease_until) values ($1, 'test', 1, 'test', 'infinity')",
        [owner],
      )
      for (let round = 0; round < 4; round += 1) {
        const calls = Array.from({ length: 16 }, () => holdRequest(org, { output: 2n * credit }))
        await sendHolds(one, owner, calls)
        // Both have begun, and stand somewhere among the holds, before either can come to its end.
        const lock = `select from tollgate.ledger_holds where call_id = '${calls[8]?.callId}' for update`
        const [answers, others] = await inLine(db.pool, lock, 2, () =>
          Promise.all([first(one, calls), second(other, [...calls].reverse())]),
        )
        expect([answers.length, others.length]).toEqual([16, 16])
        await closeAll(one, calls)
      }
      // Four rounds of sixteen calls at a credit.
      expect(await balances(db.pool, org.id)).toMatchObject({ pool: { used: '64', held: '0' }, entries: 64 })
    },
  )

  async function session(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: db.url })
    onTestFinished(() => client.end())
    await client.connect()
    return client
  }
})

/** A small generator with a seed, so that a run that fails can be run again. */
function randomIntegers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

test('500 operations of all kinds over three organizations that share limits end without a deadlock, and the books are right.', async () => {
  const next = randomIntegers(8_084)
  const orgs = await Promise.all(
    Array.from({ length: 3 }, () => db.seedOrganization({ credits: 2_000, users: { alice: 500, bob: 500 } })),
  )
  const open: { callId: string; id: string; user: string }[] = []
  const limits = (): Limit[] =>
    ['team', 'key', 'end_user', 'model']
      .map((kind) => ({ kind, id: `shared-${next(2)}`, window_start: '2030-01-01T00:00:00Z', limit_amount: 100_000 }))
      .sort(() => next(3) - 1)

  async function holdOne(id: string, user: string): Promise<void> {
    const answer = await hold(eight.pool, id, { user, output: 1 + next(20), least: 1, limits: limits() })
    if (answer.outcome === 'held') open.push({ callId: answer.callId, id, user })
  }

  async function operation(): Promise<unknown> {
    const id = orgs[next(3)]?.id ?? ''
    const user = next(2) === 0 ? 'alice' : 'bob'
    const kind = next(10)
    if (kind < 4) return holdOne(id, user)
    if (kind === 4) return deducted(eight.pool.query("select deduct_credits($1, $2, $3, 'x')", [id, user, 1 + next(9)]))
    if (kind === 5) return eight.pool.query('select add_credits_to_pool($1, 3)', [id])
    if (kind === 6) return deducted(eight.pool.query('select allocate_credits_to_user($1, $2, 3)', [id, user]))
    const running = open[next(open.length)]
    if (running === undefined) return holdOne(id, user)
    if (kind === 7) return extend(eight.pool, running.callId, 5 + next(30), 1)
    return close(eight.pool, running.id, running.callId, kind === 8 ? null : next(25), running.user)
  }

  let left = 500
  async function worker(): Promise<void> {
    while (left > 0) {
      left -= 1
      await operation()
    }
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  expect(open.length).toBeGreaterThan(50)
})

test('A hold that commits while the batch that closes it waits: the batch is done again, and closes it.', async () => {
  const org = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const [released, late] = [holdRequest(org), holdRequest(org)]
  const first = await hold(db.pool, org.id, { callId: released.callId, output: 10 })
  await close(db.pool, org.id, first.callId, null)
  const client = new pg.Client({ connectionString: db.url })
  await client.connect()
  onTestFinished(() => client.end())
  const closes = [late, released].map((request) => ({
    state: 'settled' as const,
    closing: settlementOf(request, 3n * credit),
  }))
  const lock = await db.pool.connect()
  try {
    await lock.query('begin')
    await lock.query('select 1 from tollgate.ledger_holds where call_id = $1 for update', [released.callId])
    const closing = refusal(sendCloses(client, closes))
    await expect.poll(() => waitingForLock(db.pool), { timeout: 10_000, interval: 5 }).toBe(1)
    await hold(db.pool, org.id, { callId: late.callId, output: 10 })
    await lock.query('commit')
    expect(await closing).toMatchObject({ code: '40001' })
  } finally {
    lock.release(true)
  }
  expect(await sendCloses(client, closes)).toMatchObject([{ charged: '3.000000' }, { charged: '3.000000' }])
  expect((await balances(db.pool, org.id)).pool).toMatchObject({ used: '6', held: '0' })
})
