/** Reports of usage read sums by day. They equal the books to the microcredit, before, while and after the sums are folded. */
import { expect, test } from 'vitest'
import { seededRandom } from '../../bench/shuffle.ts'
import { foldUsage } from '../../src/reports/fold-usage.ts'
import { monthlyStatement } from '../../src/reports/statement.ts'
import { cursorAfter, type Dimension, type UsageFilter, usageBy, usageTotal } from '../../src/reports/usage-by.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()
const YEAR: Pick<UsageFilter, 'from' | 'until'> = { from: '2030-01-01', until: '2031-01-01' }

/** A charge at an instant: it goes the way of everything that spends. */
async function deduct(orgId: string, user: string, credits: string, model: string, at?: string): Promise<void> {
  if (at !== undefined) await db.setNow(at)
  const { rows } = await db.pool.query('select deduct_credits($1, $2, $3, $4, $5) as done', [
    orgId,
    user,
    credits,
    'llm_inference',
    model,
  ])
  expect(rows[0].done).toBe(true)
}

const seed = () => db.seedOrganization({ credits: 10_000, users: { alice: 3_000, bob: 3_000 } })
const parts = async () => Number((await db.pool.query('select count(*) from tollgate.usage_deltas')).rows[0].count)
const groups = async (filter: UsageFilter, dimensions: Dimension[]) =>
  (await usageBy(db.database, filter, dimensions, { limit: 1_000, after: null })).map(({ key, calls, credits }) => [
    ...key,
    calls,
    credits,
  ])

test('Sums by day, week, month, user and model are the charges, and folding changes none of them.', async () => {
  await db.setNow('2030-01-01T00:00:00Z')
  const org = await seed()
  await deduct(org.id, 'alice', '1.000001', 'gpt-5', '2030-01-06T23:59:59Z')
  await deduct(org.id, 'alice', '2', 'gpt-5', '2030-01-07T00:00:00Z')
  await foldUsage(db.database)
  await deduct(org.id, 'alice', '0.5', 'claude', '2030-01-07T12:00:00Z')
  await deduct(org.id, 'bob', '4', 'gpt-5', '2030-02-01T00:00:00Z')
  const filter = { ...YEAR, organizationId: org.id }
  const all = async () => ({
    total: await usageTotal(db.database, filter),
    days: await groups(filter, ['day']),
    weeks: await groups(filter, ['week']),
    months: await groups(filter, ['month', 'user']),
    models: await groups(filter, ['model']),
    ofAlice: await groups({ ...filter, userId: 'alice' }, ['model']),
    ofJanuary: await groups({ ...filter, from: '2030-01-07', until: '2030-02-01' }, ['user']),
  })
  const expected = {
    total: expect.objectContaining({ calls: '4', failed_calls: '0', credits: '7.500001', cost: '0.007500001' }),
    days: [
      ['2030-02-01', '1', '4'],
      ['2030-01-07', '2', '2.5'],
      ['2030-01-06', '1', '1.000001'],
    ],
    weeks: [
      ['2030-01-28', '1', '4'],
      ['2030-01-07', '2', '2.5'],
      ['2029-12-31', '1', '1.000001'],
    ],
    months: [
      ['2030-02', 'bob', '1', '4'],
      ['2030-01', 'alice', '3', '3.500001'],
    ],
    models: [
      ['gpt-5', '3', '7.000001'],
      ['claude', '1', '0.5'],
    ],
    ofAlice: [
      ['gpt-5', '2', '3.000001'],
      ['claude', '1', '0.5'],
    ],
    ofJanuary: [['alice', '2', '2.5']],
  }
  expect(await parts()).toBeGreaterThan(0)
  expect(await all()).toEqual(expected)
  await foldUsage(db.database)
  expect(await parts()).toBe(0)
  expect(await all()).toEqual(expected)
})

test('Charges that are booked while others fold and read are in every sum once.', async () => {
  await db.setNow('2030-03-05T00:00:00Z')
  const org = await seed()
  const random = seededRandom(7)
  const charges = Array.from({ length: 120 }, () => ({
    user: random() < 0.5 ? 'alice' : 'bob',
    micro: 1 + Math.floor(random() * 1_000_000),
  }))
  const filter = { ...YEAR, organizationId: org.id }
  const over = new AbortController()
  const folding = (async () => {
    while (!over.signal.aborted) await Promise.all([foldUsage(db.database), foldUsage(db.database)])
  })()
  const seen: string[] = []
  const reading = (async () => {
    while (!over.signal.aborted) {
      const { rows } = await db.pool.query(
        `select (select coalesce(sum(credits), 0) from tollgate.usage_by_user where org_id = $1)
          - (select used_credits from organization_credit_pools where org_id = $1) as off`,
        [org.id],
      )
      seen.push(rows[0].off)
    }
  })()
  await Promise.all(charges.map(({ user, micro }) => deduct(org.id, user, (micro / 1e6).toFixed(6), 'gpt-5')))
  over.abort()
  await Promise.all([folding, reading])
  expect(seen.length).toBeGreaterThan(0)
  expect(new Set(seen.map(Number))).toEqual(new Set([0]))
  const micro = charges.reduce((sum, one) => sum + one.micro, 0)
  const { credits, calls } = await usageTotal(db.database, filter)
  expect({ micro: Math.round(Number(credits) * 1e6), calls }).toEqual({ micro, calls: '120' })
})

test('Pages have every group once, by time and by cost.', async () => {
  await db.setNow('2030-04-01T00:00:00Z')
  const org = await seed()
  for (let day = 1; day <= 5; day += 1)
    for (const model of ['a', 'b', 'c']) await deduct(org.id, 'alice', '1', model, `2030-04-0${day}T10:00:00Z`)
  const filter = { ...YEAR, organizationId: org.id }
  for (const dimensions of [['day', 'model'], ['model', 'user'], ['month']] as Dimension[][]) {
    const whole = await usageBy(db.database, filter, dimensions, { limit: 1_000, after: null })
    const paged: typeof whole = []
    for (let after: string[] | null = null; ; ) {
      const page = await usageBy(db.database, filter, dimensions, { limit: 2, after })
      paged.push(...page.slice(0, 2))
      if (page.length <= 2) break
      after = cursorAfter(page[1]!, dimensions)
    }
    expect(paged).toEqual(whole)
  }
})

test('A statement adds up: opening balance, movements and charges make the closing one, which is what the pool has.', async () => {
  await db.setNow('2030-05-10T00:00:00Z')
  const org = await seed()
  await deduct(org.id, 'alice', '10.25', 'gpt-5', '2030-05-20T00:00:00Z')
  await db.setNow('2030-06-02T00:00:00Z')
  await db.pool.query('select add_credits_to_pool($1, 500, 9.5)', [org.id])
  await deduct(org.id, 'bob', '4', 'claude', '2030-06-03T00:00:00Z')
  await deduct(org.id, 'alice', '1.000001', 'gpt-5', '2030-06-30T23:59:59Z')
  await deduct(org.id, 'alice', '100', 'gpt-5', '2030-07-01T00:00:00Z')
  const of = (month: string) => monthlyStatement(db.database, org.id, month)
  expect(await of('2030-05-01')).toMatchObject({
    opening_balance: '0',
    purchases: '10000',
    charges: '10.25',
    closing_balance: '9989.75',
    charges_by_user: [{ name: 'alice', calls: '1', credits: '10.25' }],
  })
  expect(await of('2030-06-01')).toEqual({
    opening_balance: '9989.75',
    purchases: '500',
    refreshes: '0',
    refunds: '0',
    corrections: '0',
    charges: '5.000001',
    closing_balance: '10484.749999',
    paid: '9.50',
    // alice's allocation was reset when June began.
    resets: '10.25',
    charges_by_user: [
      { name: 'bob', calls: '1', credits: '4' },
      { name: 'alice', calls: '1', credits: '1.000001' },
    ],
    charges_by_model: [
      { name: 'claude', calls: '1', credits: '4' },
      { name: 'gpt-5', calls: '1', credits: '1.000001' },
    ],
  })
  const july = await of('2030-07-01')
  expect(july).toMatchObject({ opening_balance: '10484.749999', charges: '100', closing_balance: '10384.749999' })
  const { rows } = await db.pool.query(
    'select trim_scale(total_credits - used_credits)::text as balance from organization_credit_pools where org_id = $1',
    [org.id],
  )
  expect(rows[0].balance).toBe(july.closing_balance)
})
