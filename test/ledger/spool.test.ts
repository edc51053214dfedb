import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { HoldRequest } from '../../src/ledger/ledger.ts'
import { openSpool, type Spool } from '../../src/ledger/spool.ts'
import { balances } from '../support/books.ts'
import { type SeededOrganization, useDatabase } from '../support/database.ts'
import {
  holdRequest,
  type LedgerProcess,
  type OpenedLedger,
  openLedger,
  settlementOf,
  startLedgerProcess,
  temporaryDirectory,
} from '../support/open-ledger.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'

const db = useDatabase()
const run = promisify(execFile)
const seed = () => db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
const soon = { timeout: 10_000, interval: 10 }

let proxy: TcpProxy
beforeAll(async () => {
  proxy = await startTcpProxy(db.url)
})
afterEach(() => proxy.restore())
afterAll(() => proxy.close())

/** entry and credits */
async function rowsOf(callId: string): Promise<string[]> {
  const { rows } = await db.pool.query<{ row: string }>(
    `select entry || ' ' || trim_scale(credits_used) as row from credit_usage_attribution where call_id = $1 order by entry`,
    [callId],
  )
  return rows.map(({ row }) => row)
}

async function stateOf(callId: string): Promise<string | undefined> {
  const { rows } = await db.pool.query<{ state: string }>(
    'select state from tollgate.ledger_holds where call_id = $1',
    [callId],
  )
  return rows[0]?.state
}

const startProcess = (options: { renewSeconds?: number; deadAfterSeconds?: number } = {}) =>
  startLedgerProcess({ databaseUrl: proxy.url, onFinish: onTestFinished, bookingWaitMs: 250, ...options })
const openOver = (spoolDirectory: string, options: { renewSeconds?: number; deadAfterSeconds?: number } = {}) =>
  openLedger({ databaseUrl: db.url, onFinish: onTestFinished, spoolDirectory, ...options })

/** A process that settled a call while the database was away, and was killed the moment the answer was there. */
async function killedAfterAnswer(
  org: SeededOrganization<'alice'>,
  charge: bigint,
  delivered: bigint | null = null,
): Promise<{ call: HoldRequest; process: LedgerProcess }> {
  const process = await startProcess()
  const call = holdRequest(org, { requestId: 'req \0 "1"' })
  await process.hold(call)
  if (delivered !== null) {
    await process.checkpoint(call.callId, org.id, { credits: delivered, apiCost: delivered })
    const noted = async () =>
      (
        await db.pool.query(
          'select 1 from tollgate.ledger_holds where call_id = $1 and checkpoint_credits is not null',
          [call.callId],
        )
      ).rowCount
    await expect.poll(noted, soon).toBe(1)
  }
  proxy.cut()
  expect(await process.settle(settlementOf(call, charge, { details: { note: '\0', tokens: 7n } }))).toEqual({
    state: 'pending',
  })
  await process.kill()
  proxy.restore()
  return { call, process }
}

describe('a settlement the database could not take', () => {
  test('A settlement the database could not take is on disk when its response is out: a process killed at that moment has lost nothing.', async () => {
    const org = await seed()
    const { call, process } = await killedAfterAnswer(org, 3_000_001n)
    expect(await rowsOf(call.callId)).toEqual([])
    const { ledger, close, troubles } = await openOver(process.spoolDirectory)
    await expect.poll(() => rowsOf(call.callId), soon).toEqual(['charge 3.000001'])
    const { rows } = await db.pool.query(
      `select user_id, service_name, request_id, provenance, outcome, details, api_cost, markup_applied
      from credit_usage_attribution where call_id = $1`,
      [call.callId],
    )
    expect(rows).toEqual([
      {
        user_id: 'alice',
        service_name: 'gpt-5',
        request_id: 'req \ufffd "1"',
        provenance: 'provider_usage',
        outcome: 'answered',
        details: { note: '\ufffd', tokens: '7' },
        api_cost: '0.002000001',
        markup_applied: '0.001000000',
      },
    ])
    expect(await ledger.drain(10_000)).toBe(true)
    await close()
    expect(await readdir(process.spoolDirectory)).toEqual([])
    expect(troubles).toEqual([])
    // Nothing is left to be booked again.
    const again = await openOver(process.spoolDirectory)
    expect(await again.ledger.drain(10_000)).toBe(true)
    expect(await rowsOf(call.callId)).toEqual(['charge 3.000001'])
    expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '100', used: '3.000001', held: '0' })
  })

  test('A settlement the database could not take is booked by its own process when the database is back, and its file goes with it.', async () => {
    const org = await seed()
    const opened = await openLedger({ databaseUrl: proxy.url, onFinish: onTestFinished, bookingWaitMs: 250 })
    const call = holdRequest(org)
    await opened.ledger.hold(call)
    proxy.cut()
    expect(await opened.ledger.settle(settlementOf(call, 3_000_000n))).toEqual({ state: 'pending' })
    expect(await opened.ledger.drain(0)).toBe(false)
    proxy.restore()
    expect(await opened.ledger.drain(10_000)).toBe(true)
    expect(await rowsOf(call.callId)).toEqual(['charge 3'])
    await opened.close()
    expect(await readdir(opened.spoolDirectory)).toEqual([])
  })

  test('A settlement the database could not take is kept where its process ends before the database is back, and booked by the next one.', async () => {
    const org = await seed()
    const opened = await openLedger({ databaseUrl: proxy.url, onFinish: onTestFinished, bookingWaitMs: 250 })
    const call = holdRequest(org)
    await opened.ledger.hold(call)
    proxy.cut()
    // Not waited for: it is put aside at the deadline of the drain.
    const answer = opened.ledger.settle(settlementOf(call, 3_000_000n))
    expect(await opened.ledger.drain(0)).toBe(false)
    await opened.close()
    expect(await answer).toEqual({ state: 'pending' })
    expect(await readdir(opened.spoolDirectory)).toHaveLength(1)
    proxy.restore()
    await openOver(opened.spoolDirectory)
    await expect.poll(() => rowsOf(call.callId), soon).toEqual(['charge 3'])
  })

  test('A settlement the database could not take is adopted only when its process is dead: the file of a live one is locked.', async () => {
    const org = await seed()
    const process = await startProcess()
    const call = holdRequest(org)
    await process.hold(call)
    proxy.cut()
    expect(await process.settle(settlementOf(call, 3_000_000n))).toEqual({ state: 'pending' })
    const observer = await openOver(process.spoolDirectory, { renewSeconds: 0.05 })
    await renewals(observer, 4)
    expect(await rowsOf(call.callId)).toEqual([])
    expect(await readdir(process.spoolDirectory)).not.toEqual([])
    // A process that only stands still is not dead.
    process.signal('SIGSTOP')
    await renewals(observer, 4)
    expect(await rowsOf(call.callId)).toEqual([])
    expect(observer.troubles).toEqual([])
    await process.kill()
    await expect.poll(() => rowsOf(call.callId), soon).toEqual(['charge 3'])
    expect(await observer.ledger.drain(10_000)).toBe(true)
  })

  test.each<[string, bigint, string[], string[]]>([
    ['more', 9_000_000n, ['charge 4', 'correction 5'], []],
    ['less', 1_500_000n, ['charge 4'], ['2.5']],
  ])(
    'A settlement the database could not take replayed after its call was recovered at %s is a correction to the true charge.',
    async (_, charge, rows, given) => {
      const org = await seed()
      const { call, process } = await killedAfterAnswer(org, charge, 4_000_000n)
      await db.pool.query(
        "update tollgate.ledger_processes set lease_until = tollgate.tollgate_now() - interval '1 hour' where stopped_at is null",
      )
      // Another machine, which has another spool.
      const elsewhere = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished })
      await expect.poll(() => stateOf(call.callId), soon).toBe('recovered')
      expect(await rowsOf(call.callId)).toEqual(['charge 4'])
      for (let replay = 0; replay < 2; replay += 1) {
        const adopting = await openOver(process.spoolDirectory)
        expect(await adopting.ledger.drain(10_000)).toBe(true)
        await adopting.close()
      }
      expect(await rowsOf(call.callId)).toEqual(rows)
      const journal = await db.pool.query<{ back: string }>(
        'select trim_scale(allocation_allocated) as back from tollgate.ledger_journal where call_id = $1',
        [call.callId],
      )
      expect(journal.rows.map(({ back }) => back)).toEqual(given)
      expect(elsewhere.ledger.open).toBe(true)
    },
  )
})

async function renewals({ owner }: OpenedLedger, times: number): Promise<void> {
  const lease = async () => {
    const { rows } = await db.pool.query('select lease_until::text from tollgate.ledger_processes where id = $1', [
      owner(),
    ])
    return rows[0]?.lease_until
  }
  for (let i = 0; i < times; i += 1) {
    const before = await lease()
    await expect.poll(lease, soon).not.toBe(before)
  }
}

describe('a spool', () => {
  const elsewhere = randomUUID()
  const settled = (call: HoldRequest) => ({ state: 'settled', closing: settlementOf(call, 3_000_000n) }) as const

  function spoolOf(directory: string, id: string, ledgerId: string, troubles: string[] = []): Spool {
    return openSpool({ directory, id, ledgerId, onTrouble: (_, error) => troubles.push(String(error)) })
  }

  test('A spool of another ledger is refused, and kept; what is ours in the same file is booked.', async () => {
    const org = await seed()
    const [ours, theirs] = [holdRequest(org), holdRequest(org)]
    const directory = await temporaryDirectory(onTestFinished)
    const { rows } = await db.pool.query<{ ledger_id: string }>('select ledger_id from tollgate.ledger_identity')
    const dead = randomUUID()
    for (const [call, ledgerId] of [
      [ours, rows[0]?.ledger_id ?? ''],
      [theirs, elsewhere],
    ] as const) {
      const spool = spoolOf(directory, dead, ledgerId)
      await spool.add(settled(call))
      spool.close()
    }
    const opened = await openOver(directory)
    expect(await opened.ledger.drain(10_000)).toBe(true)
    await opened.close()
    expect(await rowsOf(ours.callId)).toEqual(['charge 3'])
    expect(await rowsOf(theirs.callId)).toEqual([])
    expect(opened.troubles).toEqual([
      {
        what: 'spool',
        message: `Error: ${dead}.spool holds 1 closings of another ledger; they are left alone`,
        callId: undefined,
      },
    ])
    // What was booked is gone from the file that stays.
    const next = spoolOf(directory, randomUUID(), rows[0]?.ledger_id ?? '')
    expect(next.adopt()).toEqual([])
    next.close()
    const kept = spoolOf(directory, randomUUID(), elsewhere)
    const adopted = kept.adopt()
    expect(adopted.map(({ close }) => close)).toEqual([settled(theirs)])
    for (const entry of adopted) entry.booked()
    kept.close()
    expect(await readdir(directory)).toEqual([])
  })

  test('A spool gives back what was put in, and forgets what is booked.', async () => {
    const org = await seed()
    const directory = await temporaryDirectory(onTestFinished)
    const [first, second] = [holdRequest(org), holdRequest(org, { userId: '\ud800"\\{NULL}😀', requestId: '' })]
    const spool = spoolOf(directory, 'dead', elsewhere)
    await Promise.all([spool.add(settled(first)), spool.add(settled(second))])
    expect(spool.size).toBe(2)
    spool.remove(first.callId)
    expect(spool.size).toBe(1)
    const other = spoolOf(directory, 'live', elsewhere)
    expect(other.adopt()).toEqual([])
    spool.close()
    const adopted = other.adopt()
    expect(adopted.map(({ close }) => close)).toEqual([settled(second)])
    // Once: it is on its way now.
    expect(other.adopt()).toEqual([])
    other.close()
  })

  test('An entry that can not be read stays in its file, and its neighbours are booked.', async () => {
    const org = await seed()
    const directory = await temporaryDirectory(onTestFinished)
    const { rows } = await db.pool.query<{ ledger_id: string }>('select ledger_id from tollgate.ledger_identity')
    const ledgerId = rows[0]?.ledger_id ?? ''
    const calls = [holdRequest(org), holdRequest(org)]
    const [dead, torn] = [randomUUID(), randomUUID()]
    const spool = spoolOf(directory, dead, ledgerId)
    await Promise.all(calls.map((call) => spool.add(settled(call))))
    spool.close()
    const file = new DatabaseSync(join(directory, `${dead}.spool`))
    file.prepare('insert into entries values (?, ?, ?, ?)').run(torn, ledgerId, dead, '{"state":')
    file.close()
    const opened = await openOver(directory)
    expect(await opened.ledger.drain(10_000)).toBe(true)
    await opened.close()
    for (const { callId } of calls) expect(await rowsOf(callId)).toEqual(['charge 3'])
    const message = `Error: ${dead}.spool holds 1 closings that can not be read; they are left alone`
    expect(opened.troubles).toEqual([{ what: 'spool', message, callId: undefined }])
    const kept = new DatabaseSync(join(directory, `${dead}.spool`))
    expect(kept.prepare('select call_id from entries').all()).toEqual([{ call_id: torn }])
    kept.close()
  })

  test('A spool whose directory was removed: no paid call starts, what ran is booked, and the process lives.', async () => {
    const org = await seed()
    const directory = await temporaryDirectory(onTestFinished)
    const opened = await openOver(directory, { renewSeconds: 0.1 })
    const call = holdRequest(org)
    await opened.ledger.hold(call)
    await rm(directory, { recursive: true })
    await expect.poll(() => opened.ledger.open, soon).toBe(false)
    await expect(opened.ledger.hold(holdRequest(org))).rejects.toMatchObject({
      status: 503,
      code: 'ledger_unavailable',
    })
    // Its lease goes on.
    await renewals(opened, 3)
    expect(opened.ledger.open).toBe(false)
    expect(opened.troubles.map(({ message }) => message)).toContainEqual(expect.stringContaining('.spool is gone'))
    expect(await opened.ledger.settle(settlementOf(call, 3_000_000n))).toMatchObject({ charged: 3_000_000n })
    expect(await opened.ledger.drain(10_000)).toBe(true)
    await opened.close()
    expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '100', used: '3', held: '0' })
  })

  test('A file that is no spool troubles the operator and nobody else.', async () => {
    const org = await seed()
    const directory = await temporaryDirectory(onTestFinished)
    await writeFile(join(directory, 'broken.spool'), 'no database'.repeat(1_000))
    const opened = await openOver(directory)
    expect(opened.troubles.map(({ what }) => what)).toEqual(['spool'])
    expect(await opened.ledger.hold(holdRequest(org))).toMatchObject({ held: 10_000_000n })
    expect(await readdir(directory)).toContain('broken.spool')
  })
})

describe('a full disk', () => {
  /** The calls whose settlement the disk did not take. */
  async function spoolTroubles(process: LedgerProcess): Promise<(string | undefined)[]> {
    return (await process.troubles()).filter(({ what }) => what === 'spool').map(({ callId }) => callId)
  }

  test('While a disk is full no paid call starts, what ran is booked all the same, and calls start when there is room again.', async () => {
    const org = await seed()
    const process = await startProcess({ renewSeconds: 0.3 })
    const [first, second] = [holdRequest(org), holdRequest(org)]
    await process.hold(first)
    await process.hold(second)
    const limit = (bytes: string) => run('prlimit', ['--pid', `${process.pid}`, `--fsize=${bytes}:unlimited`])
    await limit('1')
    proxy.cut()
    const withheld = process.settle(settlementOf(first, 3_000_000n))
    await expect.poll(() => spoolTroubles(process), soon).toContain(first.callId)
    proxy.restore()
    // The database is back, the lease valid; the disk is still full.
    expect(await withheld).toMatchObject({ state: 'settled', charged: 3_000_000n })
    expect(await rowsOf(first.callId)).toEqual(['charge 3'])
    expect(await process.open()).toBe(false)
    await expect(process.hold(holdRequest(org))).rejects.toMatchObject({ status: 503, code: 'ledger_unavailable' })
    expect(await process.settle(settlementOf(second, 2_000_000n))).toMatchObject({
      state: 'settled',
      charged: 2_000_000n,
    })
    await limit('unlimited')
    await expect.poll(() => process.open(), soon).toBe(true)
    expect(await process.hold(holdRequest(org))).toMatchObject({ held: 10_000_000n })
    expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '100', used: '5', held: '10' })
  })

  test('While a disk is full a response is withheld until its settlement fits, though the database is still away.', async () => {
    const org = await seed()
    const process = await startProcess({ renewSeconds: 0.2 })
    const call = holdRequest(org)
    await process.hold(call)
    const limit = (bytes: string) => run('prlimit', ['--pid', `${process.pid}`, `--fsize=${bytes}:unlimited`])
    await limit('1')
    proxy.cut()
    let answered = false
    const withheld = process.settle(settlementOf(call, 3_000_000n)).finally(() => {
      answered = true
    })
    await expect.poll(() => spoolTroubles(process), soon).toContain(call.callId)
    expect(answered).toBe(false)
    await limit('unlimited')
    expect(await withheld).toEqual({ state: 'pending' })
    await process.kill()
    proxy.restore()
    const { ledger } = await openOver(process.spoolDirectory)
    expect(await ledger.drain(10_000)).toBe(true)
    expect(await rowsOf(call.callId)).toEqual(['charge 3'])
  })

  test('With the database away too, a drain ends in its time and tries each write once.', async () => {
    const org = await seed()
    const { ledger, troubles } = await openLedger({
      databaseUrl: proxy.url,
      onFinish: onTestFinished,
      bookingWaitMs: 250,
    })
    const calls = [holdRequest(org), holdRequest(org), holdRequest(org)]
    await Promise.all(calls.map((call) => ledger.hold(call)))
    const limit = (bytes: string) => run('prlimit', ['--pid', `${process.pid}`, `--fsize=${bytes}:unlimited`])
    const notTaken = () => troubles.filter(({ what, callId }) => what === 'spool' && callId !== undefined)
    await limit('1')
    onTestFinished(async () => void (await limit('unlimited')))
    proxy.cut()
    const withheld = calls.map((call) => ledger.settle(settlementOf(call, 3_000_000n)))
    await expect.poll(notTaken, soon).toHaveLength(3)
    const since = performance.now()
    expect(await ledger.drain(1_000)).toBe(false)
    expect(performance.now() - since).toBeLessThan(5_000)
    // The disk that did not take the first is not asked for the others.
    expect(notTaken()).toHaveLength(4)
    expect(await ledger.drain(0)).toBe(false)
    expect(notTaken()).toHaveLength(5)
    const lost = 'Error: 3 closings are not on the books: they are LOST, the spool can not be written'
    const drains = troubles.filter(({ what }) => what === 'drain')
    expect(drains.map(({ message }) => message)).toEqual([lost, lost])
    await limit('unlimited')
    proxy.restore()
    expect(await ledger.drain(20_000)).toBe(true)
    expect(await Promise.all(withheld)).toMatchObject(calls.map(() => ({ state: 'settled', charged: 3_000_000n })))
    expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '100', used: '9', held: '0' })
  })
})
