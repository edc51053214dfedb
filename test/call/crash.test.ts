/** kill -9 at every instant of a call: what is on the books afterwards, to the microcredit, and that it is there once. */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { spoolFiles } from '../chaos/spool-files.ts'
import { type BookedRow, bookedRows, charge, correction, expectBookedRows, recovered } from '../support/booked-rows.ts'
import { balanceOf, expectNothingHeld } from '../support/call-books.ts'
import { type SeededOrganization, useDatabase } from '../support/database.ts'
import { type OpenCall, openCall } from '../support/open-call.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { configFor, modelOn, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import { chatAnswer, chatStream } from '../support/upstream-answers.ts'

const db = useDatabase()
let upstream: ScriptedUpstream
let config: string
let folder: string
/** Another process on the same database: it recovers what the killed ones leave, and never sees their spools. */
let survivor: Tollgate

beforeAll(async () => {
  upstream = await startUpstream()
  folder = await mkdtemp(join(tmpdir(), 'tollgate-spools-'))
  // On the platform plan an input token is 0.015 credits, an output token 0.03.
  const metered = modelOn(upstream.url, 'metered', { input_cost_per_token: 0.00001, output_cost_per_token: 0.00002 })
  config = configFor(upstream.url, {
    models: [metered],
    tollgate: { leases: { renew_seconds: 0.5, dead_after_seconds: 1 }, limits: { booking_wait_seconds: 0.25 } },
    litellm_settings: { num_retries: 0 },
  })
  survivor = await startTollgate({ databaseUrl: db.url, config })
})
afterEach(() => expectNothingHeld(db.pool))
afterAll(async () => {
  await survivor.stop()
  await upstream.close()
  await rm(folder, { recursive: true, force: true })
})

/** Ten tokens in, by the fast estimate and as counted: 0.15 credits. With the cap, 3.15 are held. */
const ASKED = { model: 'metered', max_tokens: 100, messages: [{ role: 'user', content: 'Say hello' }] }
const INPUT = '0.150000'
/** 11 tokens in and 5 out, as the provider states them. */
const TRUE = '0.315000'
const REST_OF_TRUE = '0.165000'

interface Victim {
  tollgate: Tollgate
  /** Between it and the database. */
  proxy: TcpProxy
  spool: string
  org: SeededOrganization<'alice'>
}

async function startVictim(): Promise<Victim> {
  const proxy = await startTcpProxy(db.url)
  onTestFinished(() => proxy.close())
  const spool = join(folder, randomUUID())
  const tollgate = await startProcess(proxy.url, spool)
  return { tollgate, proxy, spool, org: await db.seedOrganization({ credits: 1_000, users: { alice: 100 } }) }
}

async function startProcess(databaseUrl: string, spool: string): Promise<Tollgate> {
  const tollgate = await startTollgate({ databaseUrl, config, env: { TOLLGATE_SPOOL_DIR: spool } })
  onTestFinished(async () => {
    tollgate.kill()
    await tollgate.exited
  })
  return tollgate
}

/** A process that finds the spool of one that is gone. */
const startHeir = (spool: string) => startProcess(db.url, spool)

async function kill({ tollgate }: Victim): Promise<void> {
  tollgate.kill()
  expect(await tollgate.exited).toBeNull()
}

const expectBooked = (call: OpenCall, rows: BookedRow[]) => expectBookedRows(db.pool, call, rows)

async function holdOf({ requestId }: OpenCall): Promise<unknown> {
  const { rows } = await db.pool.query(
    'select state, held_credits as held, checkpoint_credits as checkpoint from tollgate.ledger_holds where request_id = $1',
    [requestId],
  )
  return rows[0]
}

function expectHold(call: OpenCall, hold: Record<string, unknown>): Promise<void> {
  return vi.waitFor(async () => expect(await holdOf(call)).toMatchObject(hold), { timeout: 15_000, interval: 20 })
}

async function expectUsed({ id }: { id: string }, used: string): Promise<void> {
  expect(await balanceOf(db.pool, id, 'alice')).toMatchObject({ used, held: '0.000000' })
}

/** A JSON call whose provider has it and does not answer yet, its first checkpoint on the books. */
async function openJson(
  { tollgate, org }: Victim,
  answer = chatAnswer,
): Promise<{ call: OpenCall; reply: () => void }> {
  const gate = Promise.withResolvers<void>()
  upstream.respond(answer({ model: 'metered', beforeHead: gate.promise }))
  const before = upstream.requests.length
  const call = openCall(tollgate, org.keys.alice, ASKED)
  await upstream.received(before + 1)
  await expectHold(call, { state: 'open', held: '3.150000', checkpoint: INPUT })
  return { call, reply: gate.resolve }
}

/** Nobody can declare this process dead until `work` is over. */
async function whileNotDead<T>({ tollgate }: Victim, work: () => Promise<T>): Promise<T> {
  const client = await db.pool.connect()
  try {
    await client.query('begin; set local idle_in_transaction_session_timeout = 0')
    const { rowCount } = await client.query('select 1 from tollgate.ledger_processes where pid = $1 for update', [
      tollgate.pid,
    ])
    expect(rowCount).toBe(1)
    return await work()
  } finally {
    client.release(true)
  }
}

function expectCheckpointsWaiting(count: number): Promise<void> {
  return vi.waitFor(
    async () => {
      const { rows } = await db.pool.query(
        `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
           and query like '%tollgate.ledger_checkpoint_one%' and pid <> pg_backend_pid()`,
      )
      expect(rows).toHaveLength(count)
    },
    { timeout: 15_000, interval: 5 },
  )
}

describe('killed', () => {
  test('After a kill between hold and call, nothing went out, the hold is released, and nothing is charged.', async () => {
    const victim = await startVictim()
    const before = upstream.requests.length
    const held = victim.proxy.withholdCommit('ledger_hold_')
    const call = openCall(victim.tollgate, victim.org.keys.alice, ASKED)
    expect(await held).toBe(1)
    victim.proxy.cut()
    await expectHold(call, { state: 'open', held: '3.150000', checkpoint: null })

    await kill(victim)

    await expectBooked(call, [charge('0.000000', { provenance: null, outcome: 'recovered' })])
    expect(await holdOf(call)).toMatchObject({ state: 'released' })
    await expectUsed(victim.org, '0.000000')
    expect(upstream.requests).toHaveLength(before)
  })

  test('After a kill during the call, its input is charged, by the estimate that went out with it.', async () => {
    const victim = await startVictim()
    const { call } = await openJson(victim)

    await kill(victim)

    await expectBooked(call, [recovered(INPUT)])
    expect(await holdOf(call)).toMatchObject({ state: 'recovered' })
    await expectUsed(victim.org, INPUT)
  })

  test('After a kill during the call, before its checkpoint got through, the hold is released, which is the stated loss.', async () => {
    const victim = await startVictim()
    const before = upstream.requests.length
    upstream.respond('silence')
    const held = victim.proxy.withholdCommit('ledger_hold_')
    const call = openCall(victim.tollgate, victim.org.keys.alice, ASKED)
    expect(await held).toBe(1)
    victim.proxy.cut()
    const session = await db.pool.connect()
    try {
      await session.query('begin; set local idle_in_transaction_session_timeout = 0')
      await session.query('select 1 from tollgate.ledger_holds where request_id = $1 for update', [call.requestId])
      victim.proxy.restore()
      await upstream.received(before + 1)
      await expectCheckpointsWaiting(1)

      await kill(victim)
      // What it had sent is given up by the server, and will not be sent again.
      await expectCheckpointsWaiting(0)
    } finally {
      session.release(true)
    }

    await expectBooked(call, [charge('0.000000', { provenance: null, outcome: 'recovered' })])
    await expectUsed(victim.org, '0.000000')
  })

  test.each([
    { name: 'within its hold', cap: 100, held: '3.150000' },
    { name: 'beyond its hold, by a provider that ignores the cap', cap: 5, held: '0.300000' },
  ])('After a kill in the stream, $name, the call is charged at the last checkpoint.', async ({ cap, held }) => {
    const victim = await startVictim()
    const more = Promise.withResolvers<void>()
    const gate = (i: number) => (i === 11 ? more.promise : i === 16 ? new Promise<never>(() => {}) : undefined)
    upstream.respond(chatStream({ text: Array(20).fill(' word'), model: 'metered', gate }))
    const call = openCall(victim.tollgate, victim.org.keys.alice, { ...ASKED, max_tokens: cap, stream: true })
    // Ten tokens in and ten out.
    await expectHold(call, { state: 'open', held, checkpoint: '0.450000' })
    more.resolve()
    await call.frames(16)

    await kill(victim)

    await expectBooked(call, [recovered('0.450000')])
    await expectUsed(victim.org, '0.450000')
  })

  test('After a kill between response and settlement, with the response unread in its socket, the input is charged.', async () => {
    const victim = await startVictim()
    const { call, reply } = await openJson(victim)
    victim.tollgate.send('SIGSTOP')
    reply()
    await upstream.requests.at(-1)?.answered

    await kill(victim)

    await expectBooked(call, [recovered(INPUT)])
    await expectUsed(victim.org, INPUT)
  })

  test('After a kill between a commit and its confirmation, the call is on the books once, at its true price.', async () => {
    const victim = await startVictim()
    const { call, reply } = await openJson(victim)
    const settled = victim.proxy.withholdCommit('ledger_close_')
    reply()
    expect(await settled).toBe(1)
    victim.proxy.cut()

    await kill(victim)

    await expectBooked(call, [charge(TRUE)])
    await startHeir(victim.spool)
    await recoveryRan()
    await expectBooked(call, [charge(TRUE)])
    await expectUsed(victim.org, TRUE)
  })
})

/** The survivor has looked for dead processes, and closed what it found, since this was called. */
async function recoveryRan(): Promise<void> {
  const gone = await db.pool.query<{ id: string }>(
    `insert into tollgate.ledger_processes (id, host, pid, version, lease_until)
      values (gen_random_uuid(), 'test', 0, 'test', tollgate.tollgate_now() - interval '1 hour') returning id`,
  )
  await vi.waitFor(
    async () => {
      const { rows } = await db.pool.query(
        'select 1 from tollgate.ledger_processes where id = $1 and dead_at is not null',
        [gone.rows[0]?.id],
      )
      expect(rows).toHaveLength(1)
    },
    { timeout: 15_000, interval: 50 },
  )
}

/** The answer goes out though the database has not the settlement: it is in the spool when the caller has the answer. */
async function expectPending(call: OpenCall): Promise<void> {
  const { status, headers } = await call.head
  expect([status, headers['x-tollgate-settlement'], headers['x-credits-used']]).toEqual([200, 'pending', TRUE])
  expect((await call.closed).complete).toBe(true)
}

describe('killed with its settlement in the spool', () => {
  test('A settlement in the spool of a killed process that is replayed after the recovery is a correction to the true price.', async () => {
    const victim = await startVictim()
    const { call, reply } = await openJson(victim)
    victim.proxy.cut()
    reply()
    await expectPending(call)

    await kill(victim)

    await expectBooked(call, [recovered(INPUT)])
    await startHeir(victim.spool)
    await expectBooked(call, [recovered(INPUT), correction(REST_OF_TRUE)])
    await expectUsed(victim.org, TRUE)
  })

  test('A settlement in the spool of a killed process that is replayed before the recovery is one charge, and leaves nothing to recover.', async () => {
    const victim = await startVictim()
    const { call, reply } = await openJson(victim)
    await whileNotDead(victim, async () => {
      victim.proxy.cut()
      reply()
      await expectPending(call)

      await kill(victim)
      await startHeir(victim.spool)
      await expectBooked(call, [charge(TRUE)])
    })

    await recoveryRan()
    expect(await bookedRows(db.pool, call)).toEqual([charge(TRUE)])
    await expectUsed(victim.org, TRUE)
  })

  test('A settlement in the spool of a killed process that the database had taken is settled twice and charged once.', async () => {
    const victim = await startVictim()
    const { call, reply } = await openJson(victim)
    const settled = victim.proxy.withholdCommit('ledger_close_')
    reply()
    expect(await settled).toBe(1)
    victim.proxy.cut()
    await expectPending(call)

    await kill(victim)

    expect(await spoolFiles(victim.spool)).not.toEqual([])
    const heir = await startHeir(victim.spool)
    upstream.respond(chatAnswer({ model: 'metered' }))
    expect((await postChat(heir, victim.org.keys.alice, ASKED)).headers.get('x-credits-used')).toBe(TRUE)
    expect(await heir.stop()).toBe(0)
    // It was replayed, or it would still be there.
    expect(await spoolFiles(victim.spool)).toEqual([])
    expect(await bookedRows(db.pool, call)).toEqual([charge(TRUE)])
    await expectUsed(victim.org, '0.630000')
  })
})
