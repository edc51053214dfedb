import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { balances } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'
import { credit, holdRequest, openLedger, settlementOf, startLedgerProcess } from '../support/open-ledger.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'

const db = useDatabase()
const seed = () => db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
const soon = { timeout: 10_000, interval: 10 }

let proxy: TcpProxy
beforeAll(async () => {
  proxy = await startTcpProxy(db.url)
})
afterAll(() => proxy.close())

async function holdOf(callId: string): Promise<{ owner: string; state: string } | undefined> {
  const { rows } = await db.pool.query('select owner, state from tollgate.ledger_holds where call_id = $1', [callId])
  return rows[0]
}

async function processOf(id: string): Promise<{ valid: boolean; seconds: number; stopped: boolean; dead: boolean }> {
  const { rows } = await db.pool.query(
    `select lease_until > tollgate.tollgate_now() as valid, round(extract(epoch from lease_until - started_at))::int as seconds,
      stopped_at is not null as stopped, dead_at is not null as dead from tollgate.ledger_processes where id = $1`,
    [id],
  )
  return rows[0]
}

async function datesOf(id: string): Promise<{ until: string; stopped: string | null }> {
  const { rows } = await db.pool.query<{ until: Date; stopped: Date | null }>(
    'select lease_until as until, stopped_at as stopped from tollgate.ledger_processes where id = $1',
    [id],
  )
  const [row] = rows
  if (row === undefined) throw new Error(`no process ${id}`)
  return { until: row.until.toISOString(), stopped: row.stopped?.toISOString() ?? null }
}

describe('a lease', () => {
  test('A lease lasts three renewals, is given up at the end, and then nothing is held.', async () => {
    const opened = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished, renewSeconds: 20 })
    expect(await processOf(opened.owner())).toEqual({ valid: true, seconds: 60, stopped: false, dead: false })
    expect(opened.ledger.open).toBe(true)
    const owner = opened.owner()
    await opened.close()
    expect(await processOf(owner)).toMatchObject({ stopped: true, dead: false })
    expect(opened.ledger.open).toBe(false)
    await expect(opened.ledger.hold(holdRequest(await seed()))).rejects.toMatchObject({ status: 503 })
  })

  test('A lease that is not renewed runs out: no call starts until it could be.', async () => {
    const org = await seed()
    const opened = await openLedger({ databaseUrl: proxy.url, onFinish: onTestFinished, renewSeconds: 0.3 })
    const owner = opened.owner()
    const cutAt = performance.now()
    proxy.cut()
    expect(opened.ledger.open).toBe(true)
    await expect.poll(() => opened.ledger.open, soon).toBe(false)
    // By its own clock: at the end of the lease, which began 0.3 seconds before the cut at the most.
    expect(performance.now() - cutAt).toBeGreaterThan(550)
    const refused = { status: 503, code: 'ledger_unavailable', headers: { 'Retry-After': '2' } }
    await expect(opened.ledger.hold(holdRequest(org))).rejects.toMatchObject(refused)
    expect(opened.troubles.map(({ what }) => what)).toContain('lease')
    proxy.restore()
    // It asks for its lease first, at once.
    const call = holdRequest(org)
    expect(await opened.ledger.hold(call)).toMatchObject({ held: 10n * credit })
    expect(opened.ledger.open).toBe(true)
    expect(await holdOf(call.callId)).toEqual({ owner, state: 'open' })
  })

  test('A lease that ran out covers no attempt, though nobody has declared the process dead and the hold is its own.', async () => {
    const opened = await openLedger({ databaseUrl: proxy.url, onFinish: onTestFinished, renewSeconds: 0.3 })
    const call = holdRequest(await seed())
    const held = await opened.ledger.hold(call)
    expect(opened.ledger.covers(held)).toBe(true)
    proxy.cut()
    await expect.poll(() => opened.ledger.covers(held), soon).toBe(false)
    expect(await processOf(opened.owner())).toMatchObject({ stopped: false, dead: false })
    expect(await holdOf(call.callId)).toEqual({ owner: opened.owner(), state: 'open' })
    expect(held.owner).toBe(opened.owner())
    proxy.restore()
    // Renewed in time: the hold is still its own, and covers again.
    await expect.poll(() => opened.ledger.covers(held), soon).toBe(true)
    expect(await opened.ledger.settle(settlementOf(call, credit))).toMatchObject({ charged: credit })
  })

  test.for(['2019-03-31T00:59:58.000Z', '2041-10-27T01:00:00.000Z'])(
    'A lease is taken, renewed and given up by the clock of money, which says %s.',
    async (now) => {
      const later = (seconds: number) => new Date(Date.parse(now) + seconds * 1000).toISOString()
      await db.setNow(now)
      const lasting = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished, renewSeconds: 60 })
      expect(await datesOf(lasting.owner())).toEqual({ until: later(180), stopped: null })
      const brief = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished, renewSeconds: 0.2 })
      const owner = brief.owner()
      expect((await datesOf(owner)).until).toBe(later(0.6))

      await db.setNow(later(7))
      await expect.poll(async () => (await datesOf(owner)).until, soon).toBe(later(7.6))
      // Not renewed meanwhile, and valid all the same: that is decided by the process's own clock.
      expect(lasting.ledger.open).toBe(true)
      expect((await datesOf(lasting.owner())).until).toBe(later(180))
      await lasting.close()
      expect(await datesOf(lasting.owner())).toEqual({ until: later(180), stopped: later(7) })
    },
  )

  test('The database refuses a hold of a process whose lease is over there.', async () => {
    const org = await seed()
    const opened = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished, renewSeconds: 60 })
    await db.pool.query(
      "update tollgate.ledger_processes set lease_until = tollgate.tollgate_now() - interval '1 ms' where id = $1",
      [opened.owner()],
    )
    const [first, owner] = [holdRequest(org), opened.owner()]
    // Renewed, since nobody said yet that it is dead, and held then.
    await opened.ledger.hold(first)
    expect(await holdOf(first.callId)).toEqual({ owner, state: 'open' })
    expect(await processOf(owner)).toMatchObject({ valid: true, dead: false })
    expect(opened.troubles).toEqual([])
  })

  test('The lease of a process that was declared dead is over for good: it goes on under another id.', async () => {
    const org = await seed()
    const opened = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished, renewSeconds: 60 })
    const [before, after, first] = [holdRequest(org), holdRequest(org), opened.owner()]
    const held = await opened.ledger.hold(before)
    expect(opened.ledger.covers(held)).toBe(true)
    await db.pool.query(
      "update tollgate.ledger_processes set lease_until = tollgate.tollgate_now() - interval '31 seconds' where id = $1",
      [first],
    )
    await db.pool.query("select tollgate.ledger_find_dead(interval '30 seconds')")
    expect(await processOf(first)).toMatchObject({ valid: false, dead: true })
    const heldAfter = await opened.ledger.hold(after)
    expect(heldAfter).toMatchObject({ held: 10n * credit, owner: opened.owner() })
    // It may be recovered at any moment, though the process has a lease again.
    expect([opened.ledger.open, opened.ledger.covers(held), opened.ledger.covers(heldAfter)]).toEqual([
      true,
      false,
      true,
    ])
    expect(opened.owner()).not.toBe(first)
    expect(await holdOf(after.callId)).toEqual({ owner: opened.owner(), state: 'open' })
    expect(await processOf(first)).toMatchObject({ valid: false, dead: true })
    expect(opened.troubles).toEqual([
      {
        what: 'lease',
        message: `Error: process ${first} was declared dead; it goes on under another id`,
        callId: undefined,
      },
    ])
    // What it held by its first id is anybody's to recover; what it holds by the second is not.
    await openLedger({ databaseUrl: db.url, onFinish: onTestFinished })
    await expect.poll(async () => (await holdOf(before.callId))?.state, soon).toBe('released')
    expect((await holdOf(after.callId))?.state).toBe('open')
    // The call went on all the same, and is charged.
    expect(await opened.ledger.settle(settlementOf(before, 3_000_000n))).toMatchObject({ charged: 3_000_000n })
  })
})

describe('a process that was stopped and wakes late', () => {
  test('A process that was stopped and wakes late is not open, and its settlement of a recovered call is a correction; nothing is booked twice.', async () => {
    const org = await seed()
    const sleeper = await startLedgerProcess({
      databaseUrl: db.url,
      onFinish: onTestFinished,
      renewSeconds: 0.3,
      deadAfterSeconds: 0.2,
    })
    const [more, less, undone] = [holdRequest(org), holdRequest(org), holdRequest(org)]
    for (const call of [more, less, undone]) await sleeper.hold(call)
    const first = (await holdOf(more.callId))?.owner
    for (const { callId, organizationId } of [more, less]) {
      await sleeper.checkpoint(callId, organizationId, { credits: 4_000_000n, apiCost: 2_000_000n })
    }
    await expect.poll(() => checkpointsOf([more.callId, less.callId]), soon).toEqual(['4.000000', '4.000000'])
    expect(await sleeper.open()).toBe(true)
    sleeper.signal('SIGSTOP')
    const observer = await openLedger({
      databaseUrl: db.url,
      onFinish: onTestFinished,
      renewSeconds: 0.1,
      deadAfterSeconds: 0.2,
    })
    for (const [call, state] of [
      [more, 'recovered'],
      [less, 'recovered'],
      [undone, 'released'],
    ] as const) {
      await expect.poll(async () => (await holdOf(call.callId))?.state, soon).toBe(state)
    }
    expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '100', used: '8', held: '0' })

    // Asked while it sleeps, answered as the first thing it does.
    const openOnWaking = sleeper.open()
    const settled = [
      sleeper.settle(settlementOf(more, 9_000_000n)),
      sleeper.settle(settlementOf(less, 1_000_000n)),
      sleeper.settle(settlementOf(undone, 2_000_000n)),
    ]
    sleeper.signal('SIGCONT')
    expect(await openOnWaking).toBe(false)
    await Promise.all(settled)
    await expect.poll(() => netOf([more.callId, less.callId, undone.callId]), soon).toEqual(['9', '1', '2'])
    const later = holdRequest(org)
    await sleeper.hold(later)
    expect((await holdOf(later.callId))?.owner).not.toBe(first)
    const { users } = await balances(db.pool, org.id)
    expect(users.alice).toEqual({ allocated: '103', used: '15', held: '10' })
    expect(observer.recovered.reduce((sum, { charged, released }) => sum + charged + released, 0)).toBe(3)
  })
})

test('A database that turns read-only stops calls, and once it takes writes again they start without a restart.', async () => {
  const org = await seed()
  const opened = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished, renewSeconds: 0.2 })
  const { ledger, troubles } = opened
  const [before, meanwhile] = [holdRequest(org), holdRequest(org)]
  await ledger.hold(before)
  const admin = await db.pool.connect()
  // A session that is writable throughout.
  await admin.query('set default_transaction_read_only = off')
  const { rows } = await admin.query<{ name: string }>('select current_database() as name')
  const reset = () => admin.query(`alter database ${rows[0]?.name} reset default_transaction_read_only`)
  onTestFinished(async () => {
    await reset()
    admin.release(true)
  })
  await admin.query(`alter database ${rows[0]?.name} set default_transaction_read_only = on`)
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name like 'tollgate %'`,
  )
  const held = ledger.hold(meanwhile).catch(({ code }) => code)
  const readOnly = () => troubles.filter(({ message }) => message.includes('read-only')).map(({ what }) => what)
  await expect.poll(readOnly, soon).toEqual(expect.arrayContaining(['hold batch of 1', 'lease']))
  await expect.poll(() => ledger.open, soon).toBe(false)
  await reset()
  // One that waited long enough is held; one that did not is given back.
  const answer = await held
  await expect.poll(() => ledger.open, soon).toBe(true)
  expect(await ledger.hold(holdRequest(org))).toMatchObject({ held: 10n * credit })
  expect(await ledger.settle(settlementOf(before, credit))).toMatchObject({ state: 'settled', charged: credit })
  expect(await ledger.drain(10_000)).toBe(true)
  if (answer === 'ledger_unavailable')
    expect(['released', undefined]).toContain((await holdOf(meanwhile.callId))?.state)
  else expect((await holdOf(meanwhile.callId))?.state).toBe('open')
})

test('A database that says nothing more keeps no process from ending, and what was not booked waits in the spool.', async () => {
  const org = await seed()
  const opened = await openLedger({ databaseUrl: proxy.url, onFinish: onTestFinished, bookingWaitMs: 250 })
  const call = holdRequest(org)
  await opened.ledger.hold(call)
  proxy.stall()
  onTestFinished(async () => proxy.restore())
  expect(await opened.ledger.settle(settlementOf(call, 3n * credit))).toEqual({ state: 'pending' })
  const since = performance.now()
  expect(await opened.ledger.drain(500)).toBe(false)
  expect(performance.now() - since).toBeLessThan(3_000)
  await opened.close()
  // Four seconds of silence and one for each goodbye, with room for a slow machine.
  expect(performance.now() - since).toBeLessThan(12_000)
  proxy.restore()
  const next = await openLedger({
    databaseUrl: db.url,
    onFinish: onTestFinished,
    spoolDirectory: opened.spoolDirectory,
  })
  expect(await next.ledger.drain(10_000)).toBe(true)
  expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '100', used: '3', held: '0' })
})

async function checkpointsOf(callIds: string[]): Promise<string[]> {
  const { rows } = await db.pool.query<{ credits: string }>(
    'select checkpoint_credits as credits from tollgate.ledger_holds where call_id = any($1)',
    [callIds],
  )
  return rows.map(({ credits }) => credits)
}

/** Of each call, all that was booked for it less what was given back. */
async function netOf(callIds: string[]): Promise<string[]> {
  const { rows } = await db.pool.query<{ net: string }>(
    `select trim_scale(coalesce((select sum(credits_used) from credit_usage_attribution where call_id = k.id), 0)
      + coalesce((select sum(allocation_allocated) * -1 from tollgate.ledger_journal where call_id = k.id), 0)) as net
    from unnest($1::uuid[]) with ordinality as k(id, place) order by place`,
    [callIds],
  )
  return rows.map(({ net }) => net)
}
