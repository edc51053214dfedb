/** Processes taken for dead that wake, holds that several recover, resets and overruns meanwhile: each call on the books once. */
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type BookedRow, bookedRows, charge, correction, expectBookedRows, recovered } from '../support/booked-rows.ts'
import { balances } from '../support/books.ts'
import { balanceOf, expectNothingHeld } from '../support/call-books.ts'
import { useDatabase } from '../support/database.ts'
import { type OpenCall, openCall } from '../support/open-call.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { configFor, modelOn, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import { chatAnswer, chatStream, errorAnswer } from '../support/upstream-answers.ts'

const db = useDatabase()
let upstream: ScriptedUpstream
let config: string
/** Recovers what others leave. */
let survivor: Tollgate

beforeAll(async () => {
  upstream = await startUpstream()
  // On the platform plan an input token is 0.015 credits, an output token 0.03.
  const metered = modelOn(upstream.url, 'metered', { input_cost_per_token: 0.00001, output_cost_per_token: 0.00002 })
  config = configFor(upstream.url, {
    models: [metered],
    tollgate: { leases: { renew_seconds: 0.5, dead_after_seconds: 1 } },
  })
  survivor = await startProcess()
})
afterEach(() => expectNothingHeld(db.pool))
afterAll(async () => {
  survivor.kill()
  await survivor.exited
  await upstream.close()
})

/** Ten tokens in, by the fast estimate and as counted: 0.15 credits. With the cap, 3.15 are held. */
const ASKED = { model: 'metered', max_tokens: 100, messages: [{ role: 'user', content: 'Say hello' }] }
const INPUT = '0.150000'
/** 11 tokens in and 5 out, as the provider states them. */
const TRUE = '0.315000'
const REST_OF_TRUE = '0.165000'

function startProcess(databaseUrl = db.url): Promise<Tollgate> {
  return startTollgate({ databaseUrl, config })
}

/** Gone when the test is over, whatever became of it. */
async function startForTest(databaseUrl = db.url): Promise<Tollgate> {
  const tollgate = await startProcess(databaseUrl)
  onTestFinished(async () => {
    tollgate.kill()
    await tollgate.exited
  })
  return tollgate
}

const seed = (credits = 100) => db.seedOrganization({ credits: 1_000, users: { alice: credits } })

const expectBooked = (call: OpenCall, rows: BookedRow[]) => expectBookedRows(db.pool, call, rows)

function expectCheckpoint({ requestId }: OpenCall, credits: string): Promise<void> {
  return vi.waitFor(
    async () => {
      const { rows } = await db.pool.query<{ credits: string | null }>(
        'select checkpoint_credits as credits from tollgate.ledger_holds where request_id = $1',
        [requestId],
      )
      expect(rows).toEqual([{ credits }])
    },
    { timeout: 15_000, interval: 20 },
  )
}

/** A JSON call whose provider has it and does not answer yet, its first checkpoint on the books. */
async function openJson(tollgate: Tollgate, key: string, answer = chatAnswer) {
  const gate = Promise.withResolvers<void>()
  upstream.respond(answer({ model: 'metered', beforeHead: gate.promise }))
  const before = upstream.requests.length
  const call = openCall(tollgate, key, ASKED)
  await upstream.received(before + 1)
  await expectCheckpoint(call, INPUT)
  return { call, reply: gate.resolve }
}

/** The caller got its answer, at this price. */
async function expectAnswered(call: OpenCall, credits: string): Promise<void> {
  const { status, headers } = await call.head
  expect([status, headers['x-credits-used']]).toEqual([200, credits])
  expect((await call.closed).complete).toBe(true)
}

describe('a process that was paused (SIGSTOP) and presumed dead', () => {
  test('A process that was paused (SIGSTOP) and presumed dead wakes to the response of a call that was recovered: it is corrected to its true price, and the process goes on.', async () => {
    const tollgate = await startForTest()
    const acme = await seed()
    const { call, reply } = await openJson(tollgate, acme.keys.alice)
    tollgate.send('SIGSTOP')
    reply()
    await expectBooked(call, [recovered(INPUT)])

    tollgate.send('SIGCONT')

    await expectAnswered(call, TRUE)
    expect(await bookedRows(db.pool, call)).toEqual([recovered(INPUT), correction(REST_OF_TRUE)])
    upstream.respond(chatAnswer({ model: 'metered' }))
    const next = await postChat(tollgate, acme.keys.alice, ASKED)
    expect([next.status, next.headers.get('x-credits-used')]).toEqual([200, TRUE])
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '0.630000', held: '0.000000' })
    expect(tollgate.output()).toContain('was declared dead; it goes on under another id')
  })

  test('A process that was paused (SIGSTOP) and presumed dead wakes in the stream: its caller gets all of it, and pays what all of it cost.', async () => {
    const tollgate = await startForTest()
    const acme = await seed()
    const later = Promise.withResolvers<void>()
    const gate = (i: number) => (i === 11 ? later.promise : undefined)
    const usage = { prompt_tokens: 11, completion_tokens: 20 }
    upstream.respond(chatStream({ text: Array(20).fill(' word'), model: 'metered', usage, gate }))
    const call = openCall(tollgate, acme.keys.alice, {
      ...ASKED,
      stream: true,
      stream_options: { include_usage: true },
    })
    await expectCheckpoint(call, '0.450000')
    tollgate.send('SIGSTOP')
    later.resolve()
    await expectBooked(call, [recovered('0.450000')])

    tollgate.send('SIGCONT')

    // 11 x 0.015 + 20 x 0.03
    const { body, complete } = await call.closed
    expect(complete).toBe(true)
    expect(body.match(/" word"/g)).toHaveLength(20)
    expect(body).toContain('"cost":0.000765')
    expect(body.endsWith('data: [DONE]\n\n')).toBe(true)
    expect(await bookedRows(db.pool, call)).toEqual([recovered('0.450000'), correction('0.315000')])
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '0.765000', held: '0.000000' })
  })

  test('A process that was paused (SIGSTOP) and presumed dead wakes when the rest of the credits is spent: the call that ran is booked in full, the next one is refused.', async () => {
    const tollgate = await startForTest()
    const acme = await seed(3.3)
    const { call, reply } = await openJson(tollgate, acme.keys.alice)
    tollgate.send('SIGSTOP')
    await expectBooked(call, [recovered(INPUT)])
    // Ten tokens in and ninety-five out: all but 0.15 of what the recovery gave back.
    upstream.respond(chatAnswer({ model: 'metered', usage: { prompt_tokens: 10, completion_tokens: 95 } }))
    const other = await postChat(survivor, acme.keys.alice, { ...ASKED, max_tokens: 95 })
    expect([other.status, other.headers.get('x-credits-used')]).toEqual([200, '3.000000'])

    reply()
    tollgate.send('SIGCONT')

    await expectAnswered(call, TRUE)
    expect(await balanceOf(db.pool, acme.id, 'alice')).toEqual({
      used: '3.315000',
      remaining: '-0.015000',
      held: '0.000000',
    })
    expect((await postChat(tollgate, acme.keys.alice, ASKED)).status).toBe(402)
  })

  test('A process that was paused (SIGSTOP) and presumed dead wakes to a new call: it gets a response, and never starts under the lease that has ended.', async () => {
    const tollgate = await startForTest()
    const acme = await seed()
    tollgate.send('SIGSTOP')
    upstream.respond(chatAnswer({ model: 'metered' }))
    const call = openCall(tollgate, acme.keys.alice, ASKED)
    await vi.waitFor(
      async () => {
        const { rows } = await db.pool.query(
          'select 1 from tollgate.ledger_processes where pid = $1 and dead_at is not null',
          [tollgate.pid],
        )
        expect(rows).toHaveLength(1)
      },
      { timeout: 15_000, interval: 50 },
    )

    tollgate.send('SIGCONT')

    await expectAnswered(call, TRUE)
    const { rows } = await db.pool.query(
      `select p.dead_at is null as alive from tollgate.ledger_holds h join tollgate.ledger_processes p on p.id = h.owner where request_id = $1`,
      [call.requestId],
    )
    expect(rows).toEqual([{ alive: true }])
  })

  test('A process that was paused (SIGSTOP) and presumed dead wakes between hold and call to a hold that was released: 503, and nothing goes out.', async () => {
    const proxy = await startTcpProxy(db.url)
    onTestFinished(() => proxy.close())
    const tollgate = await startForTest(proxy.url)
    const acme = await seed()
    const before = upstream.requests.length
    const held = proxy.withholdCommit('ledger_hold_')
    const call = openCall(tollgate, acme.keys.alice, ASKED)
    expect(await held).toBe(1)
    proxy.cut()
    tollgate.send('SIGSTOP')
    proxy.restore()
    const released = charge('0.000000', { provenance: null, outcome: 'recovered' })
    await expectBooked(call, [released])

    tollgate.send('SIGCONT')

    const { status, headers } = await call.head
    expect([status, headers['retry-after']]).toEqual([503, '2'])
    expect((await call.closed).body).toContain('"code":"ledger_unavailable"')
    expect(upstream.requests).toHaveLength(before)
    expect(await bookedRows(db.pool, call)).toEqual([released])
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '0.000000', held: '0.000000' })
  })

  test('A process that was paused (SIGSTOP) and presumed dead wakes to the failure of a call that was recovered: nothing was delivered, nothing is charged.', async () => {
    const tollgate = await startForTest()
    const acme = await seed()
    const later = Promise.withResolvers<void>()
    upstream.respond(errorAnswer(400, { message: 'no' }, { beforeHead: later.promise }))
    const call = openCall(tollgate, acme.keys.alice, ASKED)
    await expectCheckpoint(call, INPUT)
    tollgate.send('SIGSTOP')
    later.resolve()
    await expectBooked(call, [recovered(INPUT)])

    tollgate.send('SIGCONT')

    expect((await call.head).status).toBe(400)
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ remaining: '100.000000', held: '0.000000' })
  })

  test('A process that was paused (SIGSTOP) and presumed dead does not try a call again whose hold was recovered: nothing covers it any more.', async () => {
    const tollgate = await startForTest()
    const acme = await seed()
    const later = Promise.withResolvers<void>()
    upstream.respond(errorAnswer(500, { message: 'boom' }, { beforeHead: later.promise }))
    const before = upstream.requests.length
    const call = openCall(tollgate, acme.keys.alice, ASKED)
    await expectCheckpoint(call, INPUT)
    tollgate.send('SIGSTOP')
    later.resolve()
    await expectBooked(call, [recovered(INPUT)])
    upstream.respond(chatAnswer({ model: 'metered' }))

    tollgate.send('SIGCONT')

    expect((await call.head).status).toBe(503)
    expect(upstream.requests).toHaveLength(before + 1)
  })
})

/** Runs `work` while a session of its own has these rows, which it lets go of when `work` is over. */
async function whileLocked<T>(rows: string, id: string | number, work: () => Promise<T>): Promise<T> {
  const session = await db.pool.connect()
  try {
    await session.query('begin; set local idle_in_transaction_session_timeout = 0')
    expect((await session.query(`select 1 from ${rows} = $1 for update`, [id])).rowCount).toBe(1)
    return await work()
  } finally {
    session.release(true)
  }
}

/** Once the database's clock says so of these processes. */
function expectLeases(pids: number[], condition: string): Promise<void> {
  return vi.waitFor(
    async () => {
      const { rows } = await db.pool.query(
        `select 1 from tollgate.ledger_processes where pid = any($1) and dead_at is null and ${condition}`,
        [pids],
      )
      expect(rows).toHaveLength(pids.length)
    },
    { timeout: 15_000, interval: 20 },
  )
}

describe('holds of a process that is gone', () => {
  test('Holds of a process that is gone are recovered by two at once, each of them once.', async () => {
    const other = await startForTest()
    const victim = await startForTest()
    upstream.respond('silence')
    const organizations = await Promise.all(Array.from({ length: 6 }, () => seed()))
    const calls = organizations.flatMap((org) =>
      Array.from({ length: 5 }, () => openCall(victim, org.keys.alice, ASKED)),
    )
    await Promise.all(calls.map((call) => expectCheckpoint(call, INPUT)))
    const seen = survivor.output().length
    await whileLocked('tollgate.ledger_processes where pid', victim.pid, async () => {
      victim.kill()
      await expectLeases([victim.pid], "lease_until < tollgate.tollgate_now() - interval '1 second'")
      // Both miss a renewal, so that both look for the dead in the moment they wake.
      for (const tollgate of [survivor, other]) tollgate.send('SIGSTOP')
      await expectLeases([survivor.pid, other.pid], "lease_until < tollgate.tollgate_now() + interval '0.9 seconds'")
    })

    for (const tollgate of [survivor, other]) tollgate.send('SIGCONT')

    for (const call of calls) await expectBooked(call, [recovered(INPUT)])
    const closed = () =>
      [...`${survivor.output().slice(seen)}${other.output()}`.matchAll(/"charged":(\d+),"released":(\d+)/g)]
        .map(([, charged, released]) => [Number(charged), Number(released)] as const)
        .reduce(([charged, released], [c, r]) => [charged + c, released + r], [0, 0])
    await vi.waitFor(() => expect(closed()).toEqual([30, 0]), { timeout: 20_000, interval: 20 })
    for (const { id } of organizations)
      expect(await balanceOf(db.pool, id, 'alice')).toMatchObject({ used: '0.750000', held: '0.000000' })
  })

  test('Holds of a process that is gone are recovered although a row of another organization is locked, and there once it is unlocked.', async () => {
    const victim = await startForTest()
    upstream.respond('silence')
    const [acme, globex] = [await seed(), await seed()]
    const [blocked, free] = [acme, globex].map((org) => openCall(victim, org.keys.alice, ASKED))
    if (blocked === undefined || free === undefined) throw new Error('two calls')
    for (const call of [blocked, free]) await expectCheckpoint(call, INPUT)
    await whileLocked('organization_credit_pools where org_id', acme.id, async () => {
      victim.kill()
      await expectBooked(free, [recovered(INPUT)])
      expect(await bookedRows(db.pool, blocked)).toEqual([])
    })
    await expectBooked(blocked, [recovered(INPUT)])
    await victim.exited
  })
})

describe('a reset with an open hold takes back what was spent before, and never what is held', () => {
  const makeDue = (orgId: string) =>
    db.pool.query(
      "update user_credit_allocations set next_reset_date = tollgate.tollgate_now() - interval '1 hour' where org_id = $1",
      [orgId],
    )

  async function openAfterOne(tollgate: Tollgate) {
    const acme = await seed()
    upstream.respond(chatAnswer({ model: 'metered' }))
    expect((await postChat(tollgate, acme.keys.alice, ASKED)).headers.get('x-credits-used')).toBe(TRUE)
    const open = await openJson(tollgate, acme.keys.alice)
    await makeDue(acme.id)
    return { acme, ...open }
  }

  test('A reset with an open hold that is settled takes back what was spent before, and never what is held.', async () => {
    const { acme, call, reply } = await openAfterOne(survivor)
    reply()
    await expectAnswered(call, TRUE)
    expect((await call.head).headers['x-credits-remaining']).toBe('99.685')
    expect(await balances(db.pool, acme.id)).toEqual({
      pool: { total: '1000', allocated: '100.315', used: '0.63', held: '0', overage: '0' },
      users: { alice: { allocated: '100', used: '0.315', held: '0' } },
      entries: 2,
    })
  })

  test('A reset with an open hold that is recovered takes back what was spent before, and never what is held.', async () => {
    const victim = await startForTest()
    const { acme, call } = await openAfterOne(victim)
    victim.kill()
    await expectBooked(call, [recovered(INPUT)])
    expect(await balances(db.pool, acme.id)).toEqual({
      pool: { total: '1000', allocated: '100.315', used: '0.465', held: '0', overage: '0' },
      users: { alice: { allocated: '100', used: '0.15', held: '0' } },
      entries: 2,
    })
    await victim.exited
  })
})

describe('a provider that ignores the cap', () => {
  test('A provider that ignores the cap is charged for what it counted, beyond the hold too, and the next call is refused.', async () => {
    const acme = await seed(5)
    const usage = { prompt_tokens: 11, completion_tokens: 400 }
    upstream.respond(chatAnswer({ model: 'metered', text: Array(400).fill(' word'), usage }))
    const call = openCall(survivor, acme.keys.alice, ASKED)
    // 9 tokens of input and 400 of output, as they were counted here.
    await expectAnswered(call, '12.135000')
    expect(await bookedRows(db.pool, call)).toEqual([charge('12.135000', { provenance: 'disputed' })])
    expect(await balanceOf(db.pool, acme.id, 'alice')).toEqual({
      used: '12.135000',
      remaining: '-7.135000',
      held: '0.000000',
    })
    expect((await postChat(survivor, acme.keys.alice, ASKED)).status).toBe(402)
  })

  test('A provider that states what is not possible is booked at the quote, disputed.', async () => {
    const acme = await seed()
    upstream.respond(chatAnswer({ model: 'metered', usage: { prompt_tokens: 1, completion_tokens: 2_100 } }))
    const call = openCall(survivor, acme.keys.alice, ASKED)
    await expectAnswered(call, '3.150000')
    expect(await bookedRows(db.pool, call)).toEqual([charge('3.150000', { provenance: 'disputed' })])
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '3.150000', held: '0.000000' })
  })
})
