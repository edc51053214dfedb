import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { errorBody, TollgateError } from '../../src/http/errors.ts'
import type { HoldRequest, Ledger } from '../../src/ledger/ledger.ts'
import { balances } from '../support/books.ts'
import { type SeededOrganization, useDatabase } from '../support/database.ts'
import { credit, holdRequest, type OpenedLedger, openLedger, releaseOf, settlementOf } from '../support/open-ledger.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'

const db = useDatabase()

function request(org: SeededOrganization<'alice'>, output: bigint, least = output): HoldRequest {
  const context = { model: 'gpt-5', rates: { output: 10_000_000_000n } }
  return holdRequest(org, { input: credit, inputBytes: credit, output, least, context })
}

async function refused(work: Promise<unknown>): Promise<TollgateError> {
  const outcome = await work.then(
    () => new Error('nothing was refused'),
    (error: unknown) => error,
  )
  if (outcome instanceof TollgateError) return outcome
  throw outcome
}

async function rowsOf(callId: string): Promise<unknown[]> {
  const { rows } = await db.pool.query(
    `select entry, trim_scale(credits_used) as credits from credit_usage_attribution where call_id = $1 order by entry`,
    [callId],
  )
  return rows
}

async function holdState(callId: string): Promise<string | undefined> {
  const { rows } = await db.pool.query<{ state: string }>(
    'select state from tollgate.ledger_holds where call_id = $1',
    [callId],
  )
  return rows[0]?.state
}

function extension({ callId, organizationId }: HoldRequest, total: bigint, least: bigint) {
  return { callId, organizationId, delivered: null, hold: { total: total * credit, least: least * credit } }
}

describe('the ledger', () => {
  let opened: OpenedLedger
  let ledger: Ledger
  beforeEach(async () => {
    opened = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished })
    ledger = opened.ledger
  })
  const seed = () => db.seedOrganization({ credits: 1_000, users: { alice: 100 } })

  test('The ledger holds, extends and settles in microcredits, and knows what the key has spent.', async () => {
    const org = await seed()
    const first = request(org, 40n * credit, 5n * credit)
    expect(await ledger.hold(first)).toEqual({
      callId: first.callId,
      held: 41n * credit,
      input: credit,
      remaining: 59n * credit,
      keySpend: 0n,
      quota: null,
      owner: opened.owner(),
    })
    expect(await ledger.extend(extension(first, 60n, 50n))).toBe(60n * credit)
    expect(await ledger.extend(extension(first, 500n, 200n))).toBeNull()
    expect(await ledger.settle(settlementOf(first, 12_345_678n))).toEqual({
      state: 'settled',
      charged: 12_345_678n,
      remaining: 87_654_322n,
      keySpend: 12_345_678n,
    })
    const second = request(org, 0n)
    expect(await ledger.hold(second)).toMatchObject({ keySpend: 12_345_678n, remaining: 86_654_322n })
    await ledger.release(releaseOf(second))
    expect(await rowsOf(second.callId)).toEqual([{ entry: 'charge', credits: '0' }])
    expect(await ledger.drain(1_000)).toBe(true)
    expect(opened.troubles).toEqual([])
  })

  test('The ledger refuses a hold with 402 insufficient_credits.', async () => {
    const error = await refused(ledger.hold(request(await seed(), 200n * credit, 100n * credit)))
    expect(error.status).toBe(402)
    expect(error.headers).toEqual({ 'x-should-retry': 'false' })
    const message =
      'Insufficient credits: this call needs at least 101 credits and 100 are available. ' +
      'Ask an admin of your organization to allocate more.'
    expect(errorBody(error)).toEqual({
      error: {
        message,
        type: 'insufficient_credits',
        param: null,
        code: 'insufficient_credits',
        required: '101',
        available: '100',
      },
      detail: message,
    })
  })

  test('The ledger refuses a hold with 402 credits_in_flight.', async () => {
    const org = await seed()
    await ledger.hold(request(org, 59_500_000n))
    const error = await refused(ledger.hold(request(org, 50n * credit)))
    expect(error).toMatchObject({
      status: 402,
      code: 'credits_in_flight',
      type: 'insufficient_credits',
      headers: { 'Retry-After': '1', 'x-should-retry': 'true' },
      fields: { required: '51', available: '39.5' },
    })
    expect(error.message).toMatch(
      /^Insufficient credits for now: this call needs at least 51 credits and 39\.5 are free/,
    )
  })

  test('The ledger refuses a hold with 403 no_allocation and 403 organization_suspended.', async () => {
    const org = await seed()
    const stranger = { ...request(org, credit), userId: 'nobody' }
    const noAllocation = await refused(ledger.hold(stranger))
    expect(noAllocation).toMatchObject({ status: 403, code: 'no_allocation', headers: {}, fields: {} })
    expect(noAllocation.message).toContain('No credit allocation found')
    await db.pool.query("update organizations set status = 'suspended' where id = $1", [org.id])
    const suspended = await refused(ledger.hold(request(org, credit)))
    expect(suspended).toMatchObject({ status: 403, code: 'organization_suspended', headers: {}, fields: {} })
  })
})

describe('while the database is away', () => {
  let proxy: TcpProxy
  let opened: OpenedLedger
  let ledger: Ledger
  let org: SeededOrganization<'alice'>
  const troubles = () => new Set(opened.troubles.map(({ what }) => what))

  beforeAll(async () => {
    proxy = await startTcpProxy(db.url)
  })
  afterAll(() => proxy.close())
  beforeEach(async () => {
    opened = await openLedger({ databaseUrl: proxy.url, onFinish: onTestFinished, bookingWaitMs: 250 })
    ledger = opened.ledger
    org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
  })
  afterEach(async () => {
    proxy.restore()
    expect(await ledger.drain(20_000)).toBe(true)
  })

  const unavailable = {
    status: 503,
    code: 'ledger_unavailable',
    type: 'server_error',
    headers: { 'Retry-After': '2' },
    message: 'The ledger is not available, so no paid call can start. Try again shortly.',
  }

  test('While the database is away no call is held: 503, and nothing is left behind when it is back.', async () => {
    const call = request(org, credit)
    proxy.cut()
    expect(await refused(ledger.hold(call))).toMatchObject(unavailable)
    expect(troubles()).toContain('hold')
    proxy.restore()
    // Nobody knows what became of what was sent: it is done again, and given back.
    expect(await ledger.drain(20_000)).toBe(true)
    expect(await ledger.hold(request(org, 99n * credit))).toMatchObject({ held: 100n * credit })
    expect(['released', undefined]).toContain(await holdState(call.callId))
  })

  test('A hold that was taken but whose answer was lost is given back.', async () => {
    await ledger.hold(request(org, 0n))
    const call = request(org, 50n * credit)
    proxy.loseAnswers()
    const held = refused(ledger.hold(call))
    await expect.poll(() => holdState(call.callId), { timeout: 20_000 }).toBe('open')
    proxy.cut()
    expect(await held).toMatchObject(unavailable)
    proxy.restore()
    expect(await ledger.drain(20_000)).toBe(true)
    expect(await holdState(call.callId)).toBe('released')
    expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '100', used: '0', held: '1' })
  })

  test('While the database is away a settlement is pending, and on the books once when it is back.', async () => {
    const call = request(org, 50n * credit)
    await ledger.hold(call)
    proxy.cut()
    expect(await ledger.settle(settlementOf(call, 20n * credit))).toEqual({ state: 'pending' })
    expect(await ledger.drain(0)).toBe(false)
    expect(await rowsOf(call.callId)).toEqual([])
    proxy.restore()
    expect(await ledger.drain(20_000)).toBe(true)
    expect(await rowsOf(call.callId)).toEqual([{ entry: 'charge', credits: '20' }])
    expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '100', used: '20', held: '0' })
  })

  test('A settlement that was booked but whose answer was lost is not booked again.', async () => {
    const [first, call] = [request(org, 0n), request(org, 50n * credit)]
    await ledger.hold(first)
    await ledger.settle(settlementOf(first, 0n))
    await ledger.hold(call)
    proxy.loseAnswers()
    expect(await ledger.settle(settlementOf(call, 20n * credit))).toEqual({ state: 'pending' })
    await expect.poll(() => rowsOf(call.callId), { timeout: 20_000 }).toHaveLength(1)
    proxy.cut()
    proxy.restore()
    expect(await ledger.drain(20_000)).toBe(true)
    expect(await rowsOf(call.callId)).toEqual([{ entry: 'charge', credits: '20' }])
    expect((await balances(db.pool, org.id)).pool.used).toBe('20')
  })

  test('While the database is away a release is repeated until it is booked.', async () => {
    const call = request(org, 50n * credit)
    await ledger.hold(call)
    proxy.cut()
    await ledger.release(releaseOf(call))
    expect(await holdState(call.callId)).toBe('open')
    proxy.restore()
    expect(await ledger.drain(20_000)).toBe(true)
    expect(await holdState(call.callId)).toBe('released')
  })

  test('While the database is away a hold is not extended.', async () => {
    const call = request(org, 50n * credit)
    await ledger.hold(call)
    proxy.cut()
    expect(await ledger.extend(extension(call, 60n, 55n))).toBeNull()
    expect(troubles()).toContain('extend')
  })
})

describe('when a commit is ambiguous', () => {
  test('What was committed and lost its response is done once: a hold, its extension, its settlement.', async () => {
    const proxy = await startTcpProxy(db.url)
    onTestFinished(() => proxy.close())
    const { ledger } = await openLedger({ databaseUrl: proxy.url, onFinish: onTestFinished })
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
    const call = request(org, 39n * credit)

    const holds = proxy.withholdCommit('ledger_hold_', 2)
    expect(await ledger.hold(call)).toMatchObject({ held: 40n * credit, remaining: 60n * credit })
    expect(await holds).toBe(2)
    expect((await balances(db.pool, org.id)).pool.held).toBe('40')

    const extensions = proxy.withholdCommit('ledger_progress_', 2)
    expect(await ledger.extend(extension(call, 60n, 60n))).toBe(60n * credit)
    expect(await extensions).toBe(2)
    expect((await balances(db.pool, org.id)).pool.held).toBe('60')

    const settlements = proxy.withholdCommit('ledger_close_', 2)
    await ledger.settle(settlementOf(call, 12_345_678n))
    expect(await ledger.drain(20_000)).toBe(true)
    expect(await settlements).toBe(2)
    expect(await rowsOf(call.callId)).toEqual([{ entry: 'charge', credits: '12.345678' }])
    expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '100', used: '12.345678', held: '0' })
  })
})

describe('what is on disk when it is answered', () => {
  test.each(['on', 'off'])(
    'Settlements are on disk when they are answered, holds and their progress need not be; the database says %s.',
    async (by) => {
      const name = new URL(db.url.replace(/@[^/]+/, '@host')).pathname.slice(1)
      await db.pool.query(`alter database ${name} set synchronous_commit = ${by}`)
      // What the setting is when the transaction commits.
      await db.pool.query(`
      create table public.committed (call_id uuid, state text, setting text);
      create function public.note_setting() returns trigger language plpgsql as $$ begin
        insert into committed values (new.call_id, new.state, current_setting('synchronous_commit')); return null; end $$;
      create constraint trigger note_setting after insert or update on tollgate.ledger_holds deferrable initially deferred
        for each row execute function note_setting()`)
      onTestFinished(async () => {
        await db.pool.query('drop function note_setting cascade; drop table committed')
        await db.pool.query(`alter database ${name} reset synchronous_commit`)
      })
      const { ledger } = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished })
      const org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
      const [settled, released] = [request(org, credit), request(org, credit)]
      await Promise.all([ledger.hold(settled), ledger.hold(released)])
      await ledger.extend(extension(settled, 5n, 5n))
      ledger.checkpoint(settled.callId, org.id, { credits: 2n, apiCost: 2n })
      const noted = 'select checkpoint_credits as credits from tollgate.ledger_holds where call_id = $1'
      await expect
        .poll(async () => (await db.pool.query(noted, [settled.callId])).rows)
        .toEqual([{ credits: '0.000002' }])
      await ledger.settle(settlementOf(settled, 3n * credit))
      await ledger.release(releaseOf(released))
      expect(await ledger.drain(20_000)).toBe(true)
      const { rows } = await db.pool.query(
        'select distinct call_id, state, setting from committed order by setting, state',
      )
      expect(rows.filter(({ call_id }) => call_id === settled.callId)).toEqual([
        { call_id: settled.callId, state: 'open', setting: 'off' },
        { call_id: settled.callId, state: 'settled', setting: 'on' },
      ])
      expect(rows.filter(({ call_id }) => call_id === released.callId)).toEqual([
        { call_id: released.callId, state: 'open', setting: 'off' },
        { call_id: released.callId, state: 'released', setting: 'on' },
      ])
    },
  )

  test('A purchase and an allocation are on disk when they are answered.', async () => {
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
    const client = await db.pool.connect()
    try {
      await client.query('begin; set local synchronous_commit = off')
      await client.query('select add_credits_to_pool($1, 5)', [org.id])
      expect((await client.query('show synchronous_commit')).rows).toEqual([{ synchronous_commit: 'on' }])
      await client.query('commit; begin; set local synchronous_commit = off')
      await client.query("select allocate_credits_to_user($1, 'alice', 5)", [org.id])
      expect((await client.query('show synchronous_commit')).rows).toEqual([{ synchronous_commit: 'on' }])
      await client.query('commit')
    } finally {
      client.release()
    }
  })
})

describe('answers', () => {
  test('Calls of one moment go out in one transaction, and each gets its own result: of 64 with money for 10, ten are held.', async () => {
    const { ledger } = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished })
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
    const calls = Array.from({ length: 64 }, () => holdRequest(org))
    const answers = await Promise.allSettled(calls.map((call) => ledger.hold(call)))
    const held = calls.filter((_, i) => answers[i]?.status === 'fulfilled')
    expect(held).toEqual(calls.slice(0, 10))
    for (const [i, answer] of answers.entries()) {
      if (answer.status === 'fulfilled') {
        const remaining = BigInt(90 - 10 * i) * credit
        expect(answer.value).toMatchObject({ callId: calls[i]?.callId, held: 10n * credit, remaining })
      } else
        expect(answer.reason).toMatchObject({
          status: 402,
          code: 'credits_in_flight',
          fields: { required: '10', available: '0' },
        })
    }
    await Promise.all(held.map((call, i) => ledger.settle(settlementOf(call, BigInt(i) * 1_000_001n))))
    expect(await ledger.drain(20_000)).toBe(true)
    const { rows } = await db.pool.query(
      `select count(*)::int as rows, count(distinct c.xmin::text)::int as transactions, trim_scale(sum(credits_used)) as credits
      from credit_usage_attribution c where org_id = $1`,
      [org.id],
    )
    expect(rows).toEqual([{ rows: 10, transactions: 1, credits: '45.000045' }])
  })
})
