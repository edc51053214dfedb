import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type HoldAnswer, sendHolds } from '../../src/ledger/hold-batch.ts'
import type { HoldRequest } from '../../src/ledger/ledger.ts'
import { createShards, type Shards } from '../../src/ledger/shards.ts'
import { balances } from '../support/books.ts'
import { type SeededOrganization, useDatabase } from '../support/database.ts'
import { credit, holdRequest, openLedger, settlementOf } from '../support/open-ledger.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

const db = useDatabase()
const owner = '33333333-3333-4333-8333-333333333333'
const seed = () => db.seedOrganization({ credits: 1_000, users: { alice: 1_000 } })
type Org = SeededOrganization<'alice'>

beforeAll(async () => {
  await db.pool.query(
    "insert into tollgate.ledger_processes (id, host, pid, version, lease_until) values ($1, 'test', 1, 'test', 'infinity')",
    [owner],
  )
})

interface HoldShards {
  shards: Shards<HoldRequest, HoldAnswer>
  /** Sizes of the batches that were answered; codes of the errors of those that were not. */
  batches: number[]
  errors: string[]
}

function holdShards(url = db.url, onError: (code: string) => void = () => {}): HoldShards {
  const batches: number[] = []
  const errors: string[] = []
  const shards = createShards<HoldRequest, HoldAnswer>({
    url,
    name: 'hold-test',
    shards: 3,
    organizationOf: ({ organizationId }) => organizationId,
    async send(client, requests) {
      try {
        return await sendHolds(client, owner, requests)
      } catch (error) {
        const code = error instanceof pg.DatabaseError ? (error.code ?? '') : 'connection'
        errors.push(code)
        onError(code)
        throw error
      }
    },
    onTrouble: () => {},
    onBatch: (size) => batches.push(size),
  })
  onTestFinished(() => shards.close())
  return { shards, batches, errors }
}

/** A session that has rows until it lets them go. */
async function lockRows(
  statement: string,
  values: unknown[],
): Promise<{ client: pg.PoolClient; release(): Promise<void> }> {
  const client = await db.pool.connect()
  let over = false
  const release = async () => {
    if (over) return
    over = true
    await client.query('rollback').catch(() => {})
    client.release(true)
  }
  onTestFinished(release)
  await client.query('begin')
  await client.query(statement, values)
  return { client, release }
}

describe('group commit', () => {
  test('What comes while a batch is in flight goes out with the next one.', async () => {
    const org = await seed()
    const { shards, batches } = holdShards()
    const first = shards.run(holdRequest(org))
    // Two turns: the first batch is on its way, and its connection takes longer than that.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    const rest = Array.from({ length: 127 }, () => shards.run(holdRequest(org, { output: credit })))
    expect(await first.answer).toMatchObject({ outcome: 'held', held: '10.000000', remaining: '990.000000' })
    const answers = await Promise.all(rest.map((job) => job.answer))
    expect(answers.map(({ remaining }) => remaining)).toEqual(answers.map((_, i) => `${989 - i}.000000`))
    expect(batches).toEqual([1, 127])
    expect(shards.pending).toBe(0)
  })

  test('A batch has at most 128 jobs.', async () => {
    const org = await seed()
    const { shards, batches } = holdShards()
    await Promise.all(Array.from({ length: 300 }, () => shards.run(holdRequest(org, { output: credit })).answer))
    expect(batches).toEqual([128, 128, 44])
  })

  test('A job that was not sent can be taken back, one that was sent can not.', async () => {
    const org = await seed()
    const { shards, batches } = holdShards()
    const first = shards.run(holdRequest(org))
    const second = shards.run(holdRequest(org))
    expect(second.drop()).toBe(true)
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    expect(first.drop()).toBe(false)
    expect(await first.answer).toMatchObject({ outcome: 'held' })
    expect(batches).toEqual([1])
    expect(shards.pending).toBe(0)
    expect((await balances(db.pool, org.id)).pool.held).toBe('10')
  })
})

test('Where a batch has fewer results than calls, none is taken for another.', async () => {
  const shards = createShards<string, string>({
    url: db.url,
    name: 'short',
    shards: 1,
    organizationOf: () => 'one',
    send: async (_, requests) => requests.filter((request) => request !== 'b').map((request) => `of ${request}`),
    onTrouble: () => {},
  })
  onTestFinished(() => shards.close())
  const answers = await Promise.allSettled(['a', 'b', 'c'].map((request) => shards.run(request).answer))
  expect(answers).toMatchObject([{ value: 'of a' }, { reason: { message: '0 answers to 1 calls' } }, { value: 'of c' }])
})

describe('one element that the database refuses', () => {
  test('One element that the database refuses is refused alone, wherever it stands in the batch.', async () => {
    const org = await seed()
    const { shards, errors } = holdShards()
    const calls = Array.from({ length: 33 }, (_, i) =>
      holdRequest(org, i % 11 === 5 ? { callId: `call ${i}`, output: credit } : { output: credit }),
    )
    const answers = await Promise.allSettled(calls.map((call) => shards.run(call).answer))
    expect(answers.map(({ status }) => status)).toEqual(calls.map((_, i) => (i % 11 === 5 ? 'rejected' : 'fulfilled')))
    for (const answer of answers)
      if (answer.status === 'rejected') expect(answer.reason).toMatchObject({ code: '22P02' })
    expect(new Set(errors)).toEqual(new Set(['22P02']))
    expect((await balances(db.pool, org.id)).pool.held).toBe('30')
  })

  test('A call that is taken back while its batch is halved is not sent.', async () => {
    const org = await seed()
    const proxy = await startTcpProxy(db.url)
    onTestFinished(() => proxy.close())
    const refused = Promise.withResolvers<void>()
    let refusals = 0
    const { shards } = holdShards(proxy.url, (code) => {
      if (code !== '22P02' || ++refusals > 1) return
      proxy.cut()
      refused.resolve()
    })
    // The first half is the bad one; the database is away when it is tried alone, so the second half waits.
    const bad = shards.run(holdRequest(org, { callId: 'a call' }))
    const good = shards.run(holdRequest(org))
    const badRefused = expect(bad.answer).rejects.toMatchObject({ code: '22P02' })
    await refused.promise
    await new Promise((resolve) => setImmediate(resolve))
    const takenBack = good.drop()
    proxy.restore()
    const last = shards.run(holdRequest(org, { output: credit }))
    expect(await last.answer).toMatchObject({ outcome: 'held' })
    await badRefused
    if (!takenBack) expect(await good.answer).toMatchObject({ outcome: 'held' })
    expect((await balances(db.pool, org.id)).pool.held).toBe(takenBack ? '1' : '11')
    expect(shards.pending).toBe(0)
  })
})

describe('a batch that was rolled back because of others is done again', () => {
  test('A batch that was rolled back because a session locks an allocation, then its pool (40P01), is done again.', async () => {
    const org = await seed()
    const name = (await db.pool.query<{ name: string }>('select current_database() as name')).rows[0]?.name
    // The batch looks for a deadlock once: after the other session has stepped into it, and before it gives up waiting.
    await db.pool.query(`alter database ${name} set deadlock_timeout = '150ms'`)
    onTestFinished(async () => void (await db.pool.query(`alter database ${name} reset deadlock_timeout`)))
    const { shards, errors } = holdShards()
    const other = await lockRows('select 1 from user_credit_allocations where org_id = $1 for update', [org.id])
    await other.client.query("set local deadlock_timeout = '10s'")
    // Alone in its batch: nothing but another try can help it.
    const job = shards.run(holdRequest(org))
    await waitingForLock(1)
    await other.client.query('select 1 from organization_credit_pools where org_id = $1 for update', [org.id])
    await other.release()
    expect(await job.answer).toMatchObject({ outcome: 'held' })
    expect(errors).toContain('40P01')
    expect((await balances(db.pool, org.id)).pool.held).toBe('10')
  })

  test('A batch that was rolled back because somebody else changed the row meanwhile (40001) is done again.', async () => {
    const org = await seed()
    const name = (await db.pool.query<{ name: string }>('select current_database() as name')).rows[0]?.name
    await db.pool.query(`alter database ${name} set default_transaction_isolation = 'repeatable read'`)
    onTestFinished(async () => void (await db.pool.query(`alter database ${name} reset default_transaction_isolation`)))
    const { shards, errors } = holdShards()
    const other = await lockRows('update organization_credit_pools set updated_at = now() where org_id = $1', [org.id])
    const job = shards.run(holdRequest(org))
    await waitingForLock(1)
    await other.client.query('commit')
    expect(await job.answer).toMatchObject({ outcome: 'held' })
    expect(errors).toEqual(['40001'])
  })
})

async function waitingForLock(count: number): Promise<void> {
  await expect.poll(async () => (await waiting()).length, { timeout: 20_000, interval: 5 }).toBe(count)
}

/** Backends that wait for a row. */
async function waiting(): Promise<number[]> {
  const { rows } = await db.pool.query<{ pid: number }>(
    "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  )
  return rows.map(({ pid }) => pid)
}

test('A hold that commits while the batch that closes it waits for a row is closed, and nobody gets the response of another.', async () => {
  const org = await seed()
  const { ledger } = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished })
  const [released, late] = [holdRequest(org), holdRequest(org)]
  await ledger.hold(released)
  await ledger.release({ ...settlementOf(released, 0n), outcome: 'failed' })
  const lock = await lockRows('select 1 from tollgate.ledger_holds where call_id = $1 for update', [released.callId])
  const settled = [ledger.settle(settlementOf(late, 3n * credit)), ledger.settle(settlementOf(released, 2n * credit))]
  await waitingForLock(1)
  await ledger.hold(late)
  await lock.release()
  await Promise.all(settled)
  expect(await ledger.drain(20_000)).toBe(true)
  expect((await balances(db.pool, org.id)).pool).toMatchObject({ used: '5', held: '0' })
})

test('A batch whose backend is terminated in the middle is sent again.', async () => {
  const org = await seed()
  const { shards, errors } = holdShards()
  const other = await lockRows('select 1 from organization_credit_pools where org_id = $1 for update', [org.id])
  const job = shards.run(holdRequest(org))
  await waitingForLock(1)
  await other.client.query('select pg_terminate_backend($1)', [(await waiting())[0]])
  await expect.poll(() => errors).toContain('57P01')
  await other.release()
  expect(await job.answer).toMatchObject({ outcome: 'held' })
  expect((await balances(db.pool, org.id)).pool.held).toBe('10')
})

test('A batch waits 250 ms for a lock, and runs two seconds.', async () => {
  const shards = createShards<string, string>({
    url: db.url,
    name: 'settings',
    shards: 1,
    organizationOf: (setting) => setting,
    send: async (client, settings) =>
      Promise.all(settings.map(async (setting) => (await client.query(`show ${setting}`)).rows[0][setting])),
    onTrouble: () => {},
  })
  onTestFinished(() => shards.close())
  const shown = ['lock_timeout', 'statement_timeout'].map((setting) => shards.run(setting).answer)
  expect(await Promise.all(shown)).toEqual(['250ms', '2s'])
})

/** What one psql session may hold while everybody else goes on. */
/** `holdsMayGoOn`: only settlements need the row for certain. */
const locks: Record<string, { statement: string; holdsMayGoOn?: true }> = {
  pool: { statement: 'select 1 from organization_credit_pools where org_id = $1 for update' },
  allocation: { statement: 'select 1 from user_credit_allocations where org_id = $1 for update' },
  'hold row': { statement: 'select 1 from tollgate.ledger_holds where org_id = $1 for update', holdsMayGoOn: true },
  limit: {
    statement: `insert into tollgate.ledger_limits as l (kind, id, window_start)
      select 'key', id::text, '1970-01-01T00:00:00Z' from tollgate.api_keys where org_id = $1
      on conflict (kind, id, window_start) do update set used = l.used`,
    holdsMayGoOn: true,
  },
  organization: { statement: 'select 1 from organizations where id = $1 for update', holdsMayGoOn: true },
}

describe.each(Object.entries(locks))(
  'a session that holds the %s of one organization',
  (_, { statement, holdsMayGoOn }) => {
    test('A session that holds a row of one organization stops nobody else.', async () => {
      const orgs = await Promise.all(Array.from({ length: 32 }, seed))
      const [victim, ...others] = orgs as [Org, ...Org[]]
      const { ledger, spoolDirectory, close } = await openLedger({
        databaseUrl: db.url,
        onFinish: onTestFinished,
        bookingWaitMs: 250,
      })
      const running = new Map(orgs.map((org) => [org, holdRequest(org)]))
      const runningOf = (org: Org) => running.get(org) as HoldRequest
      await Promise.all(orgs.map((org) => ledger.hold(runningOf(org))))

      const lock = await lockRows(statement, [victim.id])
      let victimHeld = false
      const victimHolds = ledger.hold(holdRequest(victim)).then((hold) => {
        victimHeld = true
        return hold
      })
      const victimSettles = ledger.settle(settlementOf(runningOf(victim), 4_000_001n))
      const done = others.map(async (org) => {
        const [hold, larger] = await Promise.all([
          ledger.hold(holdRequest(org, { output: 20n * credit })),
          ledger.extend({ ...runningOf(org), delivered: null, hold: { total: 15n * credit, least: 15n * credit } }),
          ledger.settle(settlementOf(runningOf(org), 3_000_000n)),
        ])
        return [hold.held, larger === 15n * credit || larger === null]
      })
      // All of this while the row is locked.
      expect(await Promise.all(done)).toEqual(others.map(() => [20n * credit, true]))
      await expect.poll(() => used(others), { timeout: 20_000 }).toEqual(others.map(() => '3'))
      expect(await victimSettles).toEqual({ state: 'pending' })
      expect(await spooledText(spoolDirectory)).toContain(runningOf(victim).callId)
      expect(await used([victim])).toEqual(['0'])
      if (holdsMayGoOn !== true) expect(victimHeld).toBe(false)

      await lock.release()
      expect(await victimHolds).toMatchObject({ held: 10n * credit })
      expect(await ledger.drain(20_000)).toBe(true)
      expect(await used([victim])).toEqual(['4.000001'])
      expect((await balances(db.pool, victim.id)).pool.held).toBe('10')
      await close()
      expect(await readdir(spoolDirectory)).toEqual([])
    })
  },
)

async function used(orgs: Org[]): Promise<string[]> {
  return Promise.all(orgs.map(async ({ id }) => (await balances(db.pool, id)).pool.used))
}

/** Of a spool in use, which nobody else can open. */
async function spooledText(directory: string): Promise<string> {
  const names = await readdir(directory)
  return (await Promise.all(names.map((name) => readFile(join(directory, name), 'latin1')))).join('')
}

test('Five sessions hold five pools, more than there are ways around, and the others go on.', async () => {
  const orgs = await Promise.all(Array.from({ length: 12 }, seed))
  const { ledger } = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished })
  const locked = orgs.slice(0, 5)
  const released: (() => Promise<void>)[] = []
  for (const { id } of locked) {
    released.push(
      (await lockRows('select 1 from organization_credit_pools where org_id = $1 for update', [id])).release,
    )
  }
  const blocked = locked.map((org) => ledger.hold(holdRequest(org)))
  const free = await Promise.all(orgs.slice(5).map((org) => ledger.hold(holdRequest(org))))
  expect(free.map(({ held }) => held)).toEqual(free.map(() => 10n * credit))
  for (const release of released) await release()
  expect((await Promise.all(blocked)).map(({ held }) => held)).toEqual(locked.map(() => 10n * credit))
})

test('Holds whose response was lost, and whose repetition was blocked until every caller had given up, are given back.', async () => {
  const orgs = await Promise.all(Array.from({ length: 20 }, seed))
  const proxy = await startTcpProxy(db.url)
  onTestFinished(() => proxy.close())
  const { ledger } = await openLedger({ databaseUrl: proxy.url, onFinish: onTestFinished })
  // Both shards have a connection: what comes next goes out on both at once.
  const before = orgs.map((org) => holdRequest(org, { output: 0n }))
  await Promise.all(before.map((call) => ledger.hold(call)))
  const withheld = proxy.withholdCommit('ledger_hold_', 2)
  const calls = orgs.map((org) => holdRequest(org))
  const answers = Promise.allSettled(calls.map((call) => ledger.hold(call)))
  expect(await withheld).toBe(2)
  // No repetition gets through before the pools are locked.
  proxy.stall()
  const ids = orgs.map(({ id }) => id)
  const lock = await lockRows('select 1 from organization_credit_pools where org_id = any($1) for update', [ids])
  proxy.restore()
  const refused = { status: 'rejected', reason: { status: 503, code: 'ledger_unavailable' } }
  expect(await answers).toMatchObject(calls.map(() => refused))
  expect(await statesOf(calls)).toEqual(calls.map(() => 'open'))
  await lock.release()
  expect(await ledger.drain(20_000)).toBe(true)
  expect(await statesOf(calls)).toEqual(calls.map(() => 'released'))
  for (const id of ids) expect((await balances(db.pool, id)).pool).toMatchObject({ held: '0', used: '0' })
})

async function statesOf(calls: HoldRequest[]): Promise<(string | undefined)[]> {
  const { rows } = await db.pool.query<{ call_id: string; state: string }>(
    'select call_id, state from tollgate.ledger_holds where call_id = any($1)',
    [calls.map(({ callId }) => callId)],
  )
  const states = new Map(rows.map(({ call_id, state }) => [call_id, state]))
  return calls.map(({ callId }) => states.get(callId))
}
