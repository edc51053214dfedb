import { describe, expect, test } from 'vitest'
import { balances } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()

interface Deduction {
  org: string
  user: string
  amount: number
  type: string
  service: string | null
  request: string | null
  metadata: unknown
}

async function deduct(call: Deduction): Promise<unknown> {
  const { rows } = await db.pool.query('select deduct_credits($1, $2, $3, $4, $5, $6, $7) as ok', [
    call.org,
    call.user,
    call.amount,
    call.type,
    call.service,
    call.request,
    call.metadata === null ? null : JSON.stringify(call.metadata),
  ])
  return rows[0]?.ok
}

async function seeded(): Promise<Deduction> {
  const { id } = await db.seedOrganization({ credits: 1_000, users: { alice: 500, bob: 500 } })
  return {
    org: id,
    user: 'alice',
    amount: 50,
    type: 'company_enrichment',
    service: 'loopnet',
    request: 'req_1',
    metadata: { b: 2, a: 1 },
  }
}

const entries = async (org: string) => (await balances(db.pool, org)).entries

describe('the same deduction under the same request id', () => {
  test('The same deduction under the same request id is one charge for ten minutes, and returns true each time.', async () => {
    const call = await seeded()
    expect(await deduct(call)).toBe(true)
    expect(await deduct({ ...call, metadata: { a: 1, b: 2 } })).toBe(true)
    await db.moveClock('9 minutes 59 seconds')
    expect(await deduct(call)).toBe(true)
    expect(await balances(db.pool, call.org)).toMatchObject({ users: { alice: { used: '50' } }, entries: 1 })
  })

  test('The same deduction under the same request id is a new charge after ten minutes.', async () => {
    const call = await seeded()
    await deduct(call)
    await db.moveClock('10 minutes 1 second')
    await deduct(call)
    expect(await balances(db.pool, call.org)).toMatchObject({ users: { alice: { used: '100' } }, entries: 2 })
  })

  test('A deduction without service name and metadata is one charge too.', async () => {
    const call = { ...(await seeded()), service: null, metadata: null }
    await deduct(call)
    await deduct(call)
    expect(await entries(call.org)).toBe(1)
  })

  test('The same deduction under the same request id is one charge when both are sent at once.', async () => {
    const call = await seeded()
    expect(await Promise.all(Array.from({ length: 8 }, () => deduct(call)))).toEqual(Array(8).fill(true))
    expect(await balances(db.pool, call.org)).toMatchObject({ users: { alice: { used: '50' } }, entries: 1 })
  })

  test('The same deduction under the same request id returns true even when nothing is left to charge.', async () => {
    const call = { ...(await seeded()), amount: 500 }
    await deduct(call)
    expect(await deduct(call)).toBe(true)
    expect(await entries(call.org)).toBe(1)
  })
})

describe('a deduction that differs is charged', () => {
  test.each<[string, Partial<Deduction>]>([
    ['user', { user: 'bob' }],
    ['request id', { request: 'req_2' }],
    ['amount', { amount: 50.000001 }],
    ['service type', { type: 'valuation' }],
    ['service name', { service: 'other' }],
    ['service name, which is null', { service: null }],
    ['metadata', { metadata: { a: 1, b: 3 } }],
    ['metadata, which is null', { metadata: null }],
    ['metadata, which is a string', { metadata: 'null' }],
  ])('A deduction that differs in its %s is charged.', async (_what, difference) => {
    const call = await seeded()
    await deduct(call)
    await deduct({ ...call, ...difference })
    expect(await entries(call.org)).toBe(2)
  })

  test('A deduction that differs in its organization is charged.', async () => {
    const call = await seeded()
    const other = await seeded()
    await deduct(call)
    await deduct({ ...call, org: other.org })
    expect([await entries(call.org), await entries(other.org)]).toEqual([1, 1])
  })

  test('A deduction that differs in nothing, but has no request id, is charged.', async () => {
    const call = { ...(await seeded()), request: null }
    await deduct(call)
    await deduct(call)
    expect(await entries(call.org)).toBe(2)
  })
})
