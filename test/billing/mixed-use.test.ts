import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { allocateCredits } from '../../src/billing/allocations.ts'
import { type ChangeTransaction, change } from '../../src/billing/change.ts'
import { joinOrganization, removeMember } from '../../src/billing/change-membership.ts'
import { addCreditsToPool } from '../../src/billing/credit-pools.ts'
import { deductCredits } from '../../src/billing/deduct-credits.ts'
import { bookPayment, takeBackPayment } from '../../src/billing/payments.ts'
import { refundCall } from '../../src/billing/refund-call.ts'
import { changePlan } from '../../src/billing/subscriptions.ts'
import { TollgateError } from '../../src/http/errors.ts'
import { balances, close, hold } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()
const prices = { platform: 5_000n, byok: 3_000n, hybrid: 9_900n }
const OPERATIONS = ['deduct', 'call', 'add', 'allocate', 'remove', 'join', 'plan', 'pay', 'payBack', 'refund'] as const
type Operation = (typeof OPERATIONS)[number]

function run(work: (transaction: ChangeTransaction) => Promise<unknown>): Promise<unknown> {
  return change(db.database, { actor: 'tester', key: null, asked: '' }, work)
}

/** One of everything that moves credits; what the rules refuse is refused by a TollgateError, whatever else runs. */
function makeOperations(organizationId: string, calls: string[], payments: string[]) {
  const member = (userId: string) => ({ organizationId, userId, actor: 'tester' })
  const work: Record<Operation, (user: string, amount: number) => Promise<unknown>> = {
    deduct: (userId, amount) =>
      run((tx) =>
        deductCredits(tx, {
          organizationId,
          userId,
          credits: String(amount),
          serviceType: 'valuation',
          serviceName: null,
          requestId: null,
          metadata: null,
        }),
      ),
    async call(user, amount) {
      const { callId, outcome } = await hold(db.pool, organizationId, { user, output: amount })
      if (outcome !== 'held') return
      await close(db.pool, organizationId, callId, amount, user)
      calls.push(callId)
    },
    add: (_, amount) =>
      run((tx) =>
        addCreditsToPool(tx, { organizationId, credits: String(amount), amount: '1', actor: 'tester', method: null }),
      ),
    allocate: (userId, amount) =>
      run((tx) =>
        allocateCredits(tx, {
          organizationId,
          userId,
          credits: String(amount),
          resetPeriod: amount % 2 === 0 ? 'daily' : null,
          notes: null,
          actor: 'tester',
        }),
      ),
    remove: (user) => run((tx) => removeMember(tx, member(user))),
    join: (user) => run((tx) => joinOrganization(tx, member(user), 'member')),
    plan: (_, amount) => run((tx) => changePlan(tx, prices, organizationId, amount % 2 === 0 ? 'hybrid' : 'byok')),
    pay(userId, amount) {
      const paymentIntent = `pi_${randomUUID()}`
      payments.push(paymentIntent)
      return run((tx) =>
        bookPayment(tx, {
          id: paymentIntent,
          organizationId,
          userId,
          paymentIntent,
          cents: amount * 10,
          credits: amount * 100,
        }),
      )
    },
    payBack: async (_, amount) => {
      const paymentIntent = payments.at(amount % Math.max(1, payments.length))
      if (paymentIntent !== undefined) await run((tx) => takeBackPayment(tx, { paymentIntent, refunded: amount * 3 }))
    },
    refund: async (_, amount) => {
      const callId = calls.at(amount % Math.max(1, calls.length))
      if (callId !== undefined)
        await run((tx) => refundCall(tx, { callId, credits: String(amount / 8), reason: 'test', actor: 'tester' }))
    },
  }
  return work
}

test('Whatever runs at once, the books are right, and what is refused is refused by name.', async () => {
  const stories = fc.sample(
    fc.record({
      operation: fc.constantFrom(...OPERATIONS),
      user: fc.constantFrom('alice', 'bob', 'carol'),
      amount: fc.integer({ min: 1, max: 60 }),
      organization: fc.integer({ min: 0, max: 1 }),
    }),
    { numRuns: 300, seed: 7 },
  )
  const organizations = await Promise.all(
    [0, 1].map(() => db.seedOrganization({ credits: 2_000, users: { olga: 0, alice: 300, bob: 200, carol: 0 } })),
  )
  const machines = organizations.map(({ id }) => makeOperations(id, [], []))
  const unforeseen: unknown[] = []
  // Twelve lanes, each one thing after the other.
  const lanes = Array.from({ length: 12 }, (_, lane) => stories.filter((_story, index) => index % 12 === lane))
  await Promise.all(
    lanes.map(async (lane) => {
      for (const { operation, user, amount, organization } of lane)
        await machines[organization]?.[operation](user, amount).catch((error: unknown) => {
          if (!(error instanceof TollgateError) || error.status >= 500) unforeseen.push({ operation, error })
        })
    }),
  )
  expect(unforeseen).toEqual([])
  for (const { id } of organizations) {
    const { pool } = await balances(db.pool, id)
    expect(Number(pool.used)).toBeGreaterThan(0)
    expect(pool.held).toBe('0')
  }
})
