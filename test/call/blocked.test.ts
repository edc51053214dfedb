/**
 * A database that blocks, goes silent, fails over, or commits without being heard. The process lives: only the calls concerned wait
 * or are refused, nobody is told a wrong price or that a key is bad, and each call that ran is on the books exactly once.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { formatDecimal } from '../../src/metering/money.ts'
import { balanceOf, expectNothingHeld } from '../support/call-books.ts'
import { useDatabase } from '../support/database.ts'
import { type OpenCall, openCall } from '../support/open-call.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { type CallAnswer, configFor, modelOn, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import { chat, chatAnswer } from '../support/upstream-answers.ts'

const db = useDatabase()
let upstream: ScriptedUpstream
/** Between the process and the database. */
let proxy: TcpProxy
let tollgate: Tollgate

beforeAll(async () => {
  upstream = await startUpstream()
  proxy = await startTcpProxy(db.url)
  // On the platform plan an input token is 0.015 credits, an output token 0.03.
  const metered = modelOn(upstream.url, 'metered', { input_cost_per_token: 0.00001, output_cost_per_token: 0.00002 })
  // Fails closed soon, and is never taken for dead: no test here is about recovery.
  const leases = { renew_seconds: 0.5, dead_after_seconds: 60 }
  tollgate = await startTollgate({
    databaseUrl: proxy.url,
    config: configFor(upstream.url, {
      models: [metered],
      tollgate: { leases, limits: { booking_wait_seconds: 0.25 } },
    }),
  })
})
afterEach(async () => {
  proxy.restore()
  await expectNothingHeld(db.pool)
})
afterAll(async () => {
  tollgate.kill()
  await tollgate.exited
  await proxy.close()
  await upstream.close()
})

/** Ten tokens in, by the fast estimate and as counted: 0.15 credits. With the cap, 3.15 are held. */
const ASKED = { model: 'metered', max_tokens: 100, messages: [{ role: 'user', content: 'Say hello' }] }
/** 11 tokens in and 5 out, as the provider states them. */
const TRUE = '0.315000'
const CHARGED_ONCE = [{ entry: 'charge', credits: TRUE, provenance: 'provider_usage' }]

async function booked({ requestId }: OpenCall): Promise<unknown[]> {
  const { rows } = await db.pool.query(
    'select entry, credits_used as credits, provenance from credit_usage_attribution where request_id = $1',
    [requestId],
  )
  return rows
}

/** A JSON call whose provider has it, and does not answer yet. */
async function openJson(key: string): Promise<{ call: OpenCall; reply: () => void }> {
  const gate = Promise.withResolvers<void>()
  upstream.respond(chatAnswer({ model: 'metered', beforeHead: gate.promise }))
  const before = upstream.requests.length
  const call = openCall(tollgate, key, ASKED)
  await upstream.received(before + 1)
  return { call, reply: gate.resolve }
}

/** The caller has its answer at its true price, whatever the database does. */
async function expectAnswered(call: OpenCall): Promise<string | string[] | undefined> {
  const { status, headers } = await call.head
  expect([status, headers['x-credits-used']]).toEqual([200, TRUE])
  expect((await call.closed).complete).toBe(true)
  return headers['x-tollgate-settlement']
}

function expectTruePrice({ status, headers, body }: CallAnswer): void {
  expect(status, body).toBe(200)
  if (headers.get('content-type')?.startsWith('application/json')) expect(headers.get('x-credits-used')).toBe(TRUE)
  else expect(body).toMatch(/"cost":0\.000315\}\}\n\n(: settlement pending\n\n)?data: \[DONE\]\n\n$/)
}

/** Runs `work` while one session has a row, and lets go of it then. */
async function whileLocked<T>(row: string, organizationId: string, work: () => Promise<T>): Promise<T> {
  const session = await db.pool.connect()
  try {
    await session.query('begin; set local idle_in_transaction_session_timeout = 0')
    const locked = await session.query(`select 1 from ${row} where org_id = $1 for update`, [organizationId])
    expect(locked.rowCount).toBe(1)
    const result = await work()
    await session.query('rollback')
    return result
  } finally {
    session.release(true)
  }
}

const STREAMED = { ...ASKED, stream: true, stream_options: { include_usage: true } }

/** One client: so many calls, one after the other, every second one a stream. */
async function callInTurn(key: string, calls: number): Promise<void> {
  for (let n = 0; n < calls; n += 1) expectTruePrice(await postChat(tollgate, key, n % 2 === 0 ? ASKED : STREAMED))
}

describe('while one session locks a row of one organization', () => {
  const seed = () => db.seedOrganization({ credits: 1_000, users: { alice: 500 } })

  test.each([
    { name: 'its pool', row: 'organization_credit_pools' },
    { name: 'its allocation', row: 'user_credit_allocations' },
  ])(
    'While one session locks a row of one organization, 32 clients of others are served, and its own are once the row is free: $name',
    async ({ row }) => {
      const acme = await seed()
      const others = await Promise.all(Array.from({ length: 8 }, seed))
      const { call: running, reply } = await openJson(acme.keys.alice)

      const own = await whileLocked(row, acme.id, async () => {
        reply()
        expect(await expectAnswered(running)).toBe('pending')
        upstream.respond(chat({ model: 'metered' }))
        let answered = 0
        const blocked = Array.from({ length: 4 }, () =>
          postChat(tollgate, acme.keys.alice, ASKED).then((answer) => {
            if (answer.status === 200) answered += 1
            return answer
          }),
        )
        await Promise.all(others.flatMap(({ keys }) => Array.from({ length: 4 }, () => callInTurn(keys.alice, 6))))
        expect([answered, await booked(running)]).toEqual([0, []])
        return blocked
      })

      const answers = await Promise.all(own)
      for (const answer of answers) {
        if (answer.status === 503) expect(answer.headers.get('retry-after')).toBe('2')
        else expectTruePrice(answer)
      }
      await expectNothingHeld(db.pool)
      expect(await booked(running)).toEqual(CHARGED_ONCE)
      const ran = 1 + answers.filter(({ status }) => status === 200).length
      expect((await balanceOf(db.pool, acme.id, 'alice')).used).toBe(formatDecimal(315_000n * BigInt(ran), 6))
      // Four clients of six calls each.
      for (const { id } of others) expect((await balanceOf(db.pool, id, 'alice')).used).toBe('7.560000')
    },
  )

  test('While one session locks a row of one organization for longer than a caller waits, its own calls get 503 with Retry-After and nothing is left of them.', async () => {
    const acme = await seed()
    // Enough of them to share every lane with it.
    const others = await Promise.all(Array.from({ length: 8 }, seed))
    const callOthers = () => Promise.all(others.map(({ keys }) => callInTurn(keys.alice, 2)))
    upstream.respond(chat({ model: 'metered' }))
    const before = upstream.requests.length
    await whileLocked('organization_credit_pools', acme.id, async () => {
      const blocked = Array.from({ length: 3 }, () => postChat(tollgate, acme.keys.alice, ASKED))
      await callOthers()
      for (const answer of await Promise.all(blocked)) {
        expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '2'])
        expect(answer.json()).toMatchObject({ error: { code: 'ledger_unavailable' } })
      }
      await callOthers()
    })
    expect(upstream.requests).toHaveLength(before + 32)
    expectTruePrice(await postChat(tollgate, acme.keys.alice, ASKED))
    await expectNothingHeld(db.pool)
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: TRUE, held: '0.000000' })
  })
})

describe('a commit whose confirmation is lost', () => {
  const seed = () => db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
  const statements = ['ledger_hold_', 'ledger_checkpoint_', 'ledger_close_']

  test.each(statements.flatMap((statement) => [1, 3].map((times) => ({ statement, times }))))(
    'A call whose commit lost its confirmation is on the books exactly once: $statement, $times times.',
    async ({ statement, times }) => {
      const acme = await seed()
      const later = Promise.withResolvers<void>()
      upstream.respond(chatAnswer({ model: 'metered', beforeHead: later.promise }))
      const before = upstream.requests.length

      const lost = proxy.withholdCommit(statement, times)
      const call = openCall(tollgate, acme.keys.alice, ASKED)
      // A closing is sent only when the provider has answered.
      if (statement !== 'ledger_close_') expect(await lost).toBe(times)
      later.resolve()

      await expectAnswered(call)
      expect(await lost).toBe(times)
      await expectNothingHeld(db.pool)
      expect(await booked(call)).toEqual(CHARGED_ONCE)
      expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: TRUE, held: '0.000000' })
      expect(upstream.requests).toHaveLength(before + 1)
    },
  )

  test('While the database fails over, callers get 503, and a call whose commit lost its confirmation is on the books exactly once.', async () => {
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 100, bob: 100, carol: 100 } })
    const keys = Object.values(acme.keys)
    const { call, reply } = await openJson(acme.keys.alice)

    const lost = proxy.withholdCommit('ledger_close_')
    reply()
    expect(await lost).toBe(1)
    proxy.cut()
    expect(await expectAnswered(call)).toBe('pending')
    const refused = await Promise.all(keys.map((key) => postChat(tollgate, key, ASKED)))
    for (const { status, headers } of refused) expect([status, headers.get('retry-after')]).toEqual([503, '2'])
    proxy.restore()

    upstream.respond(chatAnswer({ model: 'metered' }))
    for (const key of keys) expectTruePrice(await postChat(tollgate, key, ASKED))
    await expectNothingHeld(db.pool)
    expect(await booked(call)).toEqual(CHARGED_ONCE)
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '0.630000', held: '0.000000' })
  })

  test('A settlement whose confirmation is lost by a connection that goes silent, and then delivers the request and its repetition, is charged once.', async () => {
    const acme = await seed()
    const { call, reply } = await openJson(acme.keys.alice)
    const seen = tollgate.output().length
    proxy.stall()
    reply()
    expect(await expectAnswered(call)).toBe('pending')
    // The connection was given up: the same closing is on its way over another one, as silent.
    await vi.waitFor(() => expect(tollgate.output().slice(seen)).toContain('close batch of 1 failed'), {
      timeout: 15_000,
      interval: 50,
    })

    proxy.restore()

    await expectNothingHeld(db.pool)
    expect(await booked(call)).toEqual(CHARGED_ONCE)
    upstream.respond(chatAnswer({ model: 'metered' }))
    expectTruePrice(await postChat(tollgate, acme.keys.alice, ASKED))
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '0.630000' })
  })
})
