import { expect, test } from 'vitest'
import { balances, refusal } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()
const functions = {
  has_sufficient_credits: "select has_sufficient_credits($1, 'alice', $2)",
  deduct_credits: "select deduct_credits($1, 'alice', $2, 'valuation')",
  add_credits_to_pool: 'select add_credits_to_pool($1, $2)',
  allocate_credits_to_user: "select allocate_credits_to_user($1, 'alice', $2)",
}
const invalid: [amount: string | null, message: string][] = [
  ['-1', 'Invalid amount: credits must not be negative, got -1'],
  ['-0.000001', 'Invalid amount: credits must not be negative, got -0.000001'],
  ['-Infinity', 'Invalid amount: credits must not be negative, got -Infinity'],
  ['NaN', 'Invalid amount: credits must be a number'],
  [null, 'Invalid amount: credits must be a number'],
  ['Infinity', 'Invalid amount: Infinity credits are more than the ledger can hold'],
  ['10000000000000.000001', 'Invalid amount: 10000000000000.000001 credits are more than the ledger can hold'],
  ['1e300', `Invalid amount: 1${'0'.repeat(300)} credits are more than the ledger can hold`],
  ['0.0000001', 'Invalid amount: credits have at most six decimals, got 0.0000001'],
  ['1.2345678', 'Invalid amount: credits have at most six decimals, got 1.2345678'],
]

test.each(Object.entries(functions))('%s refuses what is no amount, and writes nothing.', async (_name, sql) => {
  const org = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
  const before = await balances(db.pool, org.id)
  for (const [amount, message] of invalid) {
    const error = await refusal(db.pool.query(sql, [org.id, amount]))
    expect({ amount, code: error.code, message: error.message }).toEqual({ amount, code: 'P0001', message })
  }
  expect(await balances(db.pool, org.id)).toEqual(before)
})

test.each([['-0.01'], ['NaN'], [null]])('A purchase for %s dollars is refused.', async (paid) => {
  const org = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
  const error = await refusal(db.pool.query('select add_credits_to_pool($1, 1, $2)', [org.id, paid]))
  expect(error.code).toBe('P0001')
  expect(error.message).toContain('the purchase amount must not be negative')
  expect((await balances(db.pool, org.id)).pool.total).toBe('100')
})

test('Six decimals are exact, and trailing zeros beyond them are no decimals.', async () => {
  const org = await db.seedOrganization({ credits: '0.000003', users: { alice: '0.000003' } })
  expect((await balances(db.pool, org.id)).pool.total).toBe('0.000003')
  await db.pool.query(functions.deduct_credits, [org.id, '0.0000010000'])
  await db.pool.query(functions.deduct_credits, [org.id, '0.000002'])
  expect(await balances(db.pool, org.id)).toEqual({
    pool: { total: '0.000003', allocated: '0.000003', used: '0.000003', held: '0', overage: '0' },
    users: { alice: { allocated: '0.000003', used: '0.000003', held: '0' } },
    entries: 2,
  })
})

test('A hundred times a tenth is ten, exactly.', async () => {
  const org = await db.seedOrganization({ credits: 10, users: { alice: 10 } })
  await db.pool.query("select deduct_credits($1, 'alice', 0.1, 'valuation') from generate_series(1, 100)", [org.id])
  expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '10', used: '10', held: '0' })
})

test('A deduction of nothing costs nothing, and leaves its row.', async () => {
  const org = await db.seedOrganization({ credits: 0, users: { alice: 0 } })
  await db.pool.query(functions.deduct_credits, [org.id, 0])
  expect((await balances(db.pool, org.id)).entries).toBe(1)
})
