import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { allocateCredits, listAllocations, listUserAllocations } from '../../src/billing/allocations.ts'
import { listBilling } from '../../src/billing/billing-history.ts'
import { type ChangeRequest, change, forgetChangeKeys } from '../../src/billing/change.ts'
import { addCreditsToPool, findPool } from '../../src/billing/credit-pools.ts'
import { deductCredits } from '../../src/billing/deduct-credits.ts'
import { refundCall } from '../../src/billing/refund-call.ts'
import { balances, close, hold, inLine } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()
const seed = () => db.seedOrganization({ credits: 1_000, users: { alice: 200, bob: 0 } })
const once = { actor: 'tester', key: null, asked: '' }

function run<T>(
  work: (transaction: Parameters<Parameters<typeof change>[2]>[0]) => Promise<T>,
  request: ChangeRequest = once,
): Promise<T> {
  return change(db.database, request, work).then((text) => JSON.parse(text) as T)
}

const purchase = (organizationId: string, credits: string, amount = '0') => ({
  organizationId,
  credits,
  amount,
  actor: 'tester',
  method: null,
})
const allocation = (organizationId: string, userId: string, credits: string) => ({
  organizationId,
  userId,
  credits,
  resetPeriod: null,
  notes: null,
  actor: 'tester',
})

describe('a change that is asked for', () => {
  test('A change is made once for each idempotency key, and answered the same whenever it is repeated.', async () => {
    const org = await seed()
    const request = { actor: 'tester', key: randomUUID(), asked: 'add 500' }
    const answers = await inLine(
      db.pool,
      `select from organization_credit_pools where org_id = '${org.id}' for update`,
      3,
      () => Promise.all([1, 2, 3].map(() => run((tx) => addCreditsToPool(tx, purchase(org.id, '500', '5')), request))),
    )
    expect(answers.map((answer) => answer.total_credits)).toEqual(['1500.000000', '1500.000000', '1500.000000'])
    expect((await findPool(db.database.query, org.id)).total_credits).toBe('1500.000000')
    expect(await listBilling(db.database, org.id, { limit: 10, offset: 0 })).toHaveLength(1)
  })

  test('A change is refused under an idempotency key that was used for something else.', async () => {
    const org = await seed()
    const request = { actor: 'tester', key: randomUUID(), asked: 'add 500' }
    await run((tx) => addCreditsToPool(tx, purchase(org.id, '500')), request)
    await expect(
      run((tx) => addCreditsToPool(tx, purchase(org.id, '600')), { ...request, asked: 'add 600' }),
    ).rejects.toMatchObject({ status: 422, code: 'idempotency_key_reused' })
    expect((await findPool(db.database.query, org.id)).total_credits).toBe('1500.000000')
  })

  test('A change that failed leaves no idempotency key, and a key is free again after a day.', async () => {
    const org = await seed()
    const request = { actor: 'tester', key: randomUUID(), asked: 'allocate' }
    await expect(run((tx) => allocateCredits(tx, allocation(org.id, 'alice', '5000')), request)).rejects.toMatchObject({
      status: 400,
      code: 'INSUFFICIENT_CREDITS',
      message: 'Insufficient credits in pool: 800 available, 5000 needed',
    })
    await run((tx) => addCreditsToPool(tx, purchase(org.id, '9000')))
    expect(await run((tx) => allocateCredits(tx, allocation(org.id, 'alice', '5000')), request)).toMatchObject({
      allocated_credits: '5200.000000',
    })
    await db.moveClock('25 hours')
    expect(
      await run((tx) => allocateCredits(tx, allocation(org.id, 'alice', '1')), { ...request, asked: 'other' }),
    ).toMatchObject({ allocated_credits: '5201.000000' })
    await db.moveClock('25 hours')
    await forgetChangeKeys(db.database)
    expect((await db.pool.query('select from tollgate.change_keys where key = $1', [request.key])).rowCount).toBe(0)
  })
})

describe('allocations', () => {
  test('Allocations add up, and keep their reset period until another is named.', async () => {
    const org = await seed()
    await db.setNow('2026-03-10T12:00:00Z')
    const weekly = await run((tx) =>
      allocateCredits(tx, { ...allocation(org.id, 'bob', '100'), resetPeriod: 'weekly', notes: 'trial' }),
    )
    expect(weekly).toMatchObject({
      allocated_credits: '100.000000',
      reset_period: 'weekly',
      next_reset_date: '2026-03-17T12:00:00.000000Z',
    })
    await db.setNow('2026-03-12T12:00:00Z')
    const more = await run((tx) => allocateCredits(tx, allocation(org.id, 'bob', '50')))
    expect(more).toMatchObject({
      allocated_credits: '150.000000',
      reset_period: 'weekly',
      next_reset_date: '2026-03-17T12:00:00.000000Z',
    })
    const never = await run((tx) => allocateCredits(tx, { ...allocation(org.id, 'bob', '0'), resetPeriod: 'never' }))
    expect(never).toMatchObject({ allocated_credits: '150.000000', reset_period: 'never', next_reset_date: null })
    expect((await listAllocations(db.database, org.id)).map(({ user_id }) => user_id)).toContain('bob')
    expect(await listUserAllocations(db.database, 'bob', [org.id])).toMatchObject([
      { org_name: org.name, remaining_credits: '150.000000' },
    ])
  })

  test('Only members get allocations.', async () => {
    const org = await seed()
    await expect(run((tx) => allocateCredits(tx, allocation(org.id, 'eve', '1')))).rejects.toMatchObject({
      status: 400,
      message: 'User is not a member of this organization',
    })
  })

  test('An allocation of more than the ledger can hold is refused.', async () => {
    const org = await seed()
    for (const credits of ['10000000000001', '99999999999999999999999'])
      await expect(run((tx) => addCreditsToPool(tx, purchase(org.id, credits)))).rejects.toMatchObject({ status: 422 })
  })
})

describe('a deduction', () => {
  const deduction = { userId: 'alice', serviceType: 'valuation', serviceName: null, requestId: null, metadata: null }

  test('A deduction charges the user and says what is left.', async () => {
    const org = await seed()
    const left = await run((tx) => deductCredits(tx, { ...deduction, organizationId: org.id, credits: '75' }))
    expect(left).toBe('125.000000')
  })

  test.each([
    ['alice', '201', 402, 'insufficient_credits', 'Insufficient credits: 200 available, 201 needed'],
    ['eve', '1', 403, 'no_allocation', /^No credit allocation found for user eve in org /],
    ['alice', '-1', 422, 'invalid_amount', /must not be negative/],
  ])('A deduction of %s over %s credits is refused with %i.', async (userId, credits, status, code, message) => {
    const org = await seed()
    await expect(
      run((tx) => deductCredits(tx, { ...deduction, userId, organizationId: org.id, credits })),
    ).rejects.toMatchObject({ status, code, message: expect.stringMatching(message) })
    expect((await balances(db.pool, org.id)).pool.used).toBe('0')
  })
})

describe('a refund', () => {
  const refund = (callId: string, credits: string | null) =>
    run((tx) => refundCall(tx, { callId, credits, reason: 'wrong model', actor: 'admin' }))

  async function charged(credits: number, provenance = 'provider_usage') {
    const org = await seed()
    const { callId } = await hold(db.pool, org.id, { output: credits })
    await close(db.pool, org.id, callId, credits, 'alice', provenance)
    return { org, callId }
  }

  test('A refund gives the user back a part of a charge, and never more than the charge.', async () => {
    const { org, callId } = await charged(30)
    expect(await refund(callId, '12.5')).toMatchObject({ refunded: '12.5', refundable: '17.5', user_id: 'alice' })
    await expect(refund(callId, '18')).rejects.toMatchObject({ status: 422, code: 'refund_too_large' })
    expect(await refund(callId, null)).toMatchObject({ refunded: '17.5', refundable: '0' })
    await expect(refund(callId, null)).rejects.toMatchObject({ status: 422 })
    expect(await balances(db.pool, org.id)).toMatchObject({
      pool: { total: '1030', allocated: '230', used: '30' },
      users: { alice: { allocated: '230', used: '30' } },
      entries: 1,
    })
    expect(await listBilling(db.database, org.id, { limit: 5, offset: 0 })).toMatchObject([
      { event_type: 'credit_refund', amount: '0.00' },
      { event_type: 'credit_refund', amount: '0.00' },
    ])
  })

  test('Two refunds at once give back the charge once.', async () => {
    const { org, callId } = await charged(30)
    const outcomes = await inLine(
      db.pool,
      `select from tollgate.ledger_holds where call_id = '${callId}' for update`,
      2,
      () => Promise.allSettled([refund(callId, '30'), refund(callId, '30')]),
    )
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect((await balances(db.pool, org.id)).pool.total).toBe('1030')
  })

  test('Only charges that exist and are not disputed are refunded.', async () => {
    const { callId } = await charged(30, 'disputed')
    await expect(refund(callId, null)).rejects.toMatchObject({ status: 409, code: 'call_disputed' })
    await expect(refund(randomUUID(), null)).rejects.toMatchObject({ status: 404 })
    await expect(refund('no-uuid', null)).rejects.toMatchObject({ status: 404 })
  })

  test('A refund of a user who left goes to the pool.', async () => {
    const { org, callId } = await charged(30)
    await db.pool.query("select tollgate.ledger_end_allocation($1, 'alice', 'admin')", [org.id])
    await refund(callId, null)
    expect(await balances(db.pool, org.id)).toMatchObject({
      pool: { total: '1030', allocated: '30', used: '30' },
      users: { alice: { allocated: '30', used: '30' } },
    })
  })

  test('A refund is not given back again by the late settlement of a call that was recovered.', async () => {
    const org = await seed()
    const { callId } = await hold(db.pool, org.id, { output: 30 })
    await db.pool.query(
      `select tollgate.ledger_close_batch(jsonb_build_array(jsonb_build_object('call_id', $1::uuid, 'state', 'recovered',
        'org_id', $2::uuid, 'user_id', 'alice', 'charge', 20, 'service_type', 'llm_inference', 'api_cost', 0.02, 'markup', 0,
        'source', 'proxy', 'provenance', 'recovered', 'outcome', 'recovered')))`,
      [callId, org.id],
    )
    await refund(callId, null)
    await close(db.pool, org.id, callId, 5)
    expect(await balances(db.pool, org.id)).toMatchObject({
      pool: { total: '1020', used: '20' },
      users: { alice: { allocated: '220', used: '20' } },
    })
  })
})

describe('credits that were paid for and whose payment went back', () => {
  test('Credits whose payment went back are deducted as far as they are not allocated.', async () => {
    const org = await seed()
    const take = async (credits: number) => {
      const { rows } = await db.pool.query<{ taken: string }>(
        "select trim_scale(tollgate.ledger_take_credits($1, $2, 5, 'stripe'))::text as taken",
        [org.id, credits],
      )
      return rows[0]?.taken
    }
    expect(await take(500)).toBe('500')
    expect(await take(500)).toBe('300')
    expect(await balances(db.pool, org.id)).toMatchObject({ pool: { total: '200', allocated: '200' } })
  })
})
