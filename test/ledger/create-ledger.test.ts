import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { connect, type Database } from '../../src/db/connect.ts'
import { errorBody, TollgateError } from '../../src/http/errors.ts'
import { createLedger } from '../../src/ledger/create-ledger.ts'
import type { HoldRequest, Ledger, Settlement } from '../../src/ledger/ledger.ts'
import { balances } from '../support/books.ts'
import { type SeededOrganization, useDatabase } from '../support/database.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'

const db = useDatabase()
const credit = 1_000_000n
const owner = '22222222-2222-4222-8222-222222222222'

function request(org: SeededOrganization<'alice'>, output: bigint, least = output): HoldRequest {
  return {
    callId: randomUUID(),
    organizationId: org.id,
    userId: 'alice',
    keyId: org.keyIds.alice,
    input: credit,
    inputBytes: credit,
    output,
    least,
    context: { model: 'gpt-5', rates: { output: 10_000_000_000n } },
  }
}

function settlement(of: HoldRequest, charge: bigint): Settlement {
  const { callId, organizationId, userId, keyId } = of
  return {
    callId,
    organizationId,
    userId,
    keyId,
    serviceName: 'gpt-5',
    requestId: 'req-1',
    outcome: 'answered',
    details: { usage: { output: 12 } },
    charge,
    apiCost: charge,
    markup: 0n,
    provenance: 'provider_usage',
  }
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
  const { rows } = await db.pool.query<{ state: string }>('select state from ledger_holds where call_id = $1', [callId])
  return rows[0]?.state
}

describe('the ledger', () => {
  let ledger: Ledger
  const troubles: string[] = []
  beforeAll(() => {
    ledger = createLedger({ pool: db.pool, owner, onTrouble: (what) => troubles.push(what) })
  })
  const seed = () => db.seedOrganization({ credits: 1_000, users: { alice: 100 } })

  test('holds, extends and settles in microcredits, and knows what the key has spent', async () => {
    const org = await seed()
    const first = request(org, 40n * credit, 5n * credit)
    expect(await ledger.hold(first)).toEqual({
      callId: first.callId,
      held: 41n * credit,
      input: credit,
      remaining: 59n * credit,
      keySpend: 0n,
    })
    expect(await ledger.extend(first.callId, 60n * credit, 50n * credit)).toBe(60n * credit)
    expect(await ledger.extend(first.callId, 500n * credit, 200n * credit)).toBeNull()
    expect(await ledger.settle(settlement(first, 12_345_678n))).toEqual({
      state: 'settled',
      charged: 12_345_678n,
      remaining: 87_654_322n,
      keySpend: 12_345_678n,
    })
    const second = request(org, 0n)
    expect(await ledger.hold(second)).toMatchObject({ keySpend: 12_345_678n, remaining: 86_654_322n })
    const { callId, organizationId, userId, keyId, serviceName, requestId, details } = settlement(second, 0n)
    await ledger.release({ callId, organizationId, userId, keyId, serviceName, requestId, outcome: 'failed', details })
    expect(await rowsOf(second.callId)).toEqual([{ entry: 'charge', credits: '0' }])
    expect(await ledger.drain(1_000)).toBe(true)
    expect(troubles).toEqual([])
  })

  test('keeps text that PostgreSQL can not store as it can', async () => {
    const org = await seed()
    const call = request(org, credit)
    await ledger.hold({ ...call, context: { 'a\0': ['\ud800', 1n] } })
    await ledger.settle({
      ...settlement(call, 5n),
      requestId: `nul\0lone\udc00${'x'.repeat(300)}`,
      details: { text: '\0' },
    })
    const { rows } = await db.pool.query(
      'select request_id, details from credit_usage_attribution where call_id = $1',
      [call.callId],
    )
    expect(rows).toEqual([{ request_id: `nul\ufffdlone\ufffd${'x'.repeat(246)}`, details: { text: '\ufffd' } }])
  })

  test('402 insufficient_credits', async () => {
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

  test('402 credits_in_flight', async () => {
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

  test('403 no_allocation, 403 organization_suspended', async () => {
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
  let database: Database
  let ledger: Ledger
  let org: SeededOrganization<'alice'>
  let troubles: string[] = []

  beforeAll(async () => {
    proxy = await startTcpProxy(db.url)
  })
  afterAll(() => proxy.close())
  beforeEach(async () => {
    troubles = []
    database = connect(proxy.url)
    ledger = createLedger({ pool: database.pool, owner, onTrouble: (what) => troubles.push(what) })
    org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
  })
  afterEach(async () => {
    proxy.restore()
    expect(await ledger.drain(20_000)).toBe(true)
    await database.close()
  })

  const unavailable = {
    status: 503,
    code: 'ledger_unavailable',
    type: 'server_error',
    headers: { 'Retry-After': '2' },
    message: 'The ledger is not available, so no paid call can start. Try again shortly.',
  }

  test('no call is held: 503, and nothing is left behind when it is back', async () => {
    const call = request(org, credit)
    proxy.cut()
    expect(await refused(ledger.hold(call))).toMatchObject(unavailable)
    expect(troubles).toEqual(['hold'])
    proxy.restore()
    expect(await ledger.hold(request(org, 99n * credit))).toMatchObject({ held: 100n * credit })
    expect(await holdState(call.callId)).toBeUndefined()
  })

  test('a hold that was taken but whose answer was lost is given back', async () => {
    await ledger.hold(request(org, 0n))
    const call = request(org, 50n * credit)
    proxy.loseAnswers()
    const held = refused(ledger.hold(call))
    await expect.poll(() => holdState(call.callId), { timeout: 8_000 }).toBe('open')
    proxy.cut()
    expect(await held).toMatchObject(unavailable)
    proxy.restore()
    expect(await ledger.drain(20_000)).toBe(true)
    expect(await holdState(call.callId)).toBe('released')
    expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '100', used: '0', held: '1' })
  })

  test('a settlement is pending, and on the books once when it is back', async () => {
    const call = request(org, 50n * credit)
    await ledger.hold(call)
    proxy.cut()
    expect(await ledger.settle(settlement(call, 20n * credit))).toEqual({ state: 'pending' })
    expect(await ledger.drain(0)).toBe(false)
    expect(await rowsOf(call.callId)).toEqual([])
    proxy.restore()
    expect(await ledger.drain(20_000)).toBe(true)
    expect(await rowsOf(call.callId)).toEqual([{ entry: 'charge', credits: '20' }])
    expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '100', used: '20', held: '0' })
    expect(new Set(troubles)).toEqual(new Set(['settle']))
  })

  test('a settlement that was booked but whose answer was lost is not booked again', async () => {
    const call = request(org, 50n * credit)
    await ledger.hold(call)
    proxy.loseAnswers()
    expect(await ledger.settle(settlement(call, 20n * credit))).toEqual({ state: 'pending' })
    await expect.poll(() => rowsOf(call.callId), { timeout: 8_000 }).toHaveLength(1)
    proxy.cut()
    proxy.restore()
    expect(await ledger.drain(20_000)).toBe(true)
    expect(await rowsOf(call.callId)).toEqual([{ entry: 'charge', credits: '20' }])
    expect((await balances(db.pool, org.id)).pool.used).toBe('20')
  })

  test('a release is repeated until it is booked', async () => {
    const call = request(org, 50n * credit)
    await ledger.hold(call)
    proxy.cut()
    const { callId, organizationId, userId, keyId, serviceName, requestId, details } = settlement(call, 0n)
    await ledger.release({ callId, organizationId, userId, keyId, serviceName, requestId, outcome: 'failed', details })
    expect(await holdState(callId)).toBe('open')
    proxy.restore()
    expect(await ledger.drain(20_000)).toBe(true)
    expect(await holdState(callId)).toBe('released')
  })

  test('a hold is not extended', async () => {
    const call = request(org, 50n * credit)
    await ledger.hold(call)
    proxy.cut()
    expect(await ledger.extend(call.callId, 60n * credit, 55n * credit)).toBeNull()
    expect(troubles).toEqual(['extend'])
  })
})

test('a process waits for a settlement that is not booked as long as its drain says, and ends then', async () => {
  const ledger = new URL('../../src/ledger/create-ledger.ts', import.meta.url)
  const program = `
    import { createLedger } from '${ledger}'
    const pool = { query: () => Promise.reject(new Error('away')) }
    const ledger = createLedger({ pool, owner: 'o', onTrouble: () => {} })
    const closing = { organizationId: 'o', userId: 'u', keyId: null, callId: 'c', serviceName: '', requestId: null }
    const amounts = { charge: 1n, apiCost: 1n, markup: 0n, provenance: 'estimated' }
    const booked = await ledger.settle({ ...closing, ...amounts, outcome: 'answered', details: null })
    console.log(booked.state, await ledger.drain(300))`
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program])
  expect((await run).stdout).toBe('pending false\n')
})
