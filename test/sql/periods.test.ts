import { describe, expect, test } from 'vitest'
import { renewSubscriptions, sweepPeriods } from '../../src/billing/sweep-periods.ts'
import { balances, close, hold, refusal, touch } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()

async function deduct(organizationId: string, amount: number, user = 'alice'): Promise<void> {
  await db.pool.query("select deduct_credits($1, $2, $3, 'valuation')", [organizationId, user, amount])
}

async function dates(organizationId: string): Promise<unknown> {
  const { rows } = await db.pool.query<{ reset: Date | null; refresh: Date | null }>(
    `select next_reset_date as reset, next_refresh_date as refresh
    from user_credit_allocations join organization_credit_pools p using (org_id) where org_id = $1`,
    [organizationId],
  )
  return { reset: rows[0]?.reset?.toISOString().slice(0, 19), refresh: rows[0]?.refresh?.toISOString().slice(0, 19) }
}

async function journal(organizationId: string): Promise<unknown[]> {
  const { rows } = await db.pool.query(
    `select kind, trim_scale(pool_total) as total, trim_scale(pool_allocated) as allocated,
      trim_scale(allocation_used) as used from tollgate.ledger_journal
    where org_id = $1 and kind in ('reset', 'refresh') order by id`,
    [organizationId],
  )
  return rows
}

describe('a reset', () => {
  test('A reset gives a user the period anew, when something next touches the allocation.', async () => {
    await db.setNow('2030-03-10T08:00:00Z')
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
    await deduct(org.id, 70)
    expect((await refusal(deduct(org.id, 31))).message).toBe('Insufficient credits: 30 available, 31 needed')
    await db.setNow('2030-04-10T07:59:59Z')
    await refusal(deduct(org.id, 31))
    await db.setNow('2030-04-10T08:00:00Z')
    await deduct(org.id, 31)
    expect(await balances(db.pool, org.id)).toEqual({
      pool: { total: '1000', allocated: '170', used: '101', held: '0', overage: '0' },
      users: { alice: { allocated: '100', used: '31', held: '0' } },
      entries: 2,
    })
    expect(await journal(org.id)).toEqual([{ kind: 'reset', total: '0', allocated: '70', used: '-70' }])
    expect(await dates(org.id)).toMatchObject({ reset: '2030-05-10T08:00:00' })
  })

  test('A reset is done once, whoever asks first, and after many idle months too.', async () => {
    await db.setNow('2030-03-10T08:00:00Z')
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
    await deduct(org.id, 70)
    await db.moveClock('200 days')
    await Promise.all(Array.from({ length: 6 }, () => touch(db.pool, org.id)))
    expect(await journal(org.id)).toHaveLength(1)
    expect(await dates(org.id)).toMatchObject({ reset: '2030-10-10T08:00:00' })
  })

  test('A reset is counted by has_sufficient_credits, which changes nothing.', async () => {
    await db.setNow('2030-03-10T08:00:00Z')
    const org = await db.seedOrganization({ credits: 120, users: { alice: 100 } })
    await deduct(org.id, 70)
    await db.moveClock('200 days')
    const client = await db.pool.connect()
    try {
      await client.query('begin read only')
      const has =
        "select has_sufficient_credits($1, 'alice', 50) as yes, has_sufficient_credits($1, 'alice', 50.000001) as no"
      expect((await client.query(has, [org.id])).rows).toEqual([{ yes: true, no: false }])
      await client.query('commit')
    } finally {
      client.release()
    }
    expect(await journal(org.id)).toEqual([])
    await deduct(org.id, 50)
    expect((await refusal(deduct(org.id, 0.000001))).message).toBe('Insufficient credits: 0 available, 0.000001 needed')
  })

  test('A reset leaves what running calls hold.', async () => {
    await db.setNow('2030-03-10T08:00:00Z')
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
    await deduct(org.id, 50)
    const running = await hold(db.pool, org.id, { output: 30 })
    await db.moveClock('65 days')
    const { rows } = await db.pool.query("select has_sufficient_credits($1, 'alice', 70) as yes", [org.id])
    expect(rows).toEqual([{ yes: true }])
    await touch(db.pool, org.id)
    expect(await balances(db.pool, org.id)).toMatchObject({
      pool: { allocated: '150', used: '50', held: '30' },
      users: { alice: { allocated: '100', used: '0', held: '30' } },
    })
    await close(db.pool, org.id, running.callId, 25)
    expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '100', used: '25', held: '0' })
  })

  test('A reset gives back what the pool still has, when that is less.', async () => {
    const org = await db.seedOrganization({ credits: 120, users: { alice: 100 } })
    await deduct(org.id, 90)
    await db.moveClock('65 days')
    expect((await refusal(deduct(org.id, 31))).message).toBe('Insufficient credits: 30 available, 31 needed')
    await deduct(org.id, 30)
    expect(await balances(db.pool, org.id)).toMatchObject({
      pool: { total: '120', allocated: '120', used: '120' },
      users: { alice: { allocated: '100', used: '100' } },
    })
    expect(await journal(org.id)).toEqual([{ kind: 'reset', total: '0', allocated: '20', used: '-20' }])
  })

  test.each([
    ['daily', '2030-03-11T08:00:00'],
    ['weekly', '2030-03-17T08:00:00'],
  ])('A reset comes %s.', async (period, due) => {
    await db.setNow('2030-03-10T08:00:00Z')
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
    await db.pool.query(
      'update user_credit_allocations set reset_period = $2, next_reset_date = $3 where org_id = $1',
      [org.id, period, `${due}Z`],
    )
    await deduct(org.id, 100)
    expect(await dates(org.id)).toMatchObject({ reset: due })
    await db.setNow(`${due}Z`)
    await deduct(org.id, 100)
    await db.moveClock(period === 'daily' ? '10 days' : '10 weeks')
    await deduct(org.id, 100)
    expect(await journal(org.id)).toHaveLength(2)
    const days = period === 'daily' ? 11 : 77
    const expected = new Date(Date.parse(`${due}Z`) + days * 86_400_000).toISOString().slice(0, 19)
    expect(await dates(org.id)).toMatchObject({ reset: expected })
  })

  test('A reset never comes where the period is never.', async () => {
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
    await db.pool.query(
      "update user_credit_allocations set reset_period = 'never', next_reset_date = null where org_id = $1",
      [org.id],
    )
    await deduct(org.id, 100)
    await db.moveClock('3650 days')
    expect((await refusal(deduct(org.id, 1))).message).toBe('Insufficient credits: 0 available, 1 needed')
  })

  test('A reset comes once more where the period was changed to never while a date was set, and then no more.', async () => {
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
    await db.pool.query("update user_credit_allocations set reset_period = 'never' where org_id = $1", [org.id])
    await deduct(org.id, 100)
    await db.moveClock('65 days')
    await deduct(org.id, 100)
    expect(await dates(org.id)).toEqual({ reset: undefined, refresh: undefined })
    await db.moveClock('65 days')
    await refusal(deduct(org.id, 1))
  })

  test.each([
    ['on time', ['2030-02-28', '2030-03-31', '2030-04-30', '2030-05-31']],
    ['late', ['2030-03-01', '2030-04-03', '2030-05-09', '2030-06-07']],
    ['after months', ['2030-06-07']],
  ])('A reset stays at the end of the month, taken %s.', async (_when, days) => {
    await db.setNow('2030-01-31T08:00:00Z')
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
    expect(await dates(org.id)).toMatchObject({ reset: '2030-02-28T08:00:00' })
    for (const day of days) {
      await db.setNow(`${day}T08:00:00Z`)
      await deduct(org.id, 1)
    }
    expect(await dates(org.id)).toMatchObject({ reset: '2030-06-30T08:00:00' })
  })

  test('A reset knows leap years.', async () => {
    await db.setNow('2031-12-30T08:00:00Z')
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
    for (const [now, next] of [
      ['2032-01-30', '2032-02-29'],
      ['2032-02-29', '2032-03-30'],
      ['2032-12-30', '2033-01-30'],
      ['2033-01-30', '2033-02-28'],
      ['2033-02-28', '2033-03-30'],
    ]) {
      await db.setNow(`${now}T08:00:00Z`)
      await deduct(org.id, 1)
      expect(await dates(org.id)).toMatchObject({ reset: `${next}T08:00:00` })
    }
  })

  test.each(['Pacific/Kiritimati', 'America/St_Johns'])('A reset is not moved by a session in %s.', async (zone) => {
    // 23:30 UTC is the next day in one of them, and a summer time begins in the other.
    await db.setNow('2030-02-28T23:30:00Z')
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
    const client = await db.pool.connect()
    try {
      await client.query(`set timezone = '${zone}'; set datestyle = 'German'; set intervalstyle = 'sql_standard'`)
      for (const [now, next] of [
        ['2030-03-28T23:29:59Z', '2030-03-28T23:30:00'],
        ['2030-03-28T23:30:00Z', '2030-04-28T23:30:00'],
        ['2030-05-01T00:00:00Z', '2030-05-28T23:30:00'],
      ] as const) {
        await db.setNow(now)
        await client.query("select deduct_credits($1, 'alice', 1, 'valuation')", [org.id])
        expect(await dates(org.id)).toMatchObject({ reset: next })
      }
      const { rows } = await client.query('select * from tollgate.ledger_audit()')
      expect(rows).toEqual([])
    } finally {
      client.release(true)
    }
  })
})

describe('a refresh of the pool', () => {
  async function refreshed(amount: number, first: string): Promise<string> {
    const { id } = await db.seedOrganization({ credits: 100, users: { alice: 100 } })
    await db.pool.query(
      'update organization_credit_pools set monthly_refresh_amount = $2, next_refresh_date = $3 where org_id = $1',
      [id, amount, first],
    )
    return id
  }
  const total = async (id: string) => (await balances(db.pool, id)).pool.total

  test('A refresh of the pool adds once for each period that has passed.', async () => {
    await db.setNow('2030-01-31T00:00:00Z')
    const id = await refreshed(40, '2030-02-28T00:00:00Z')
    await db.setNow('2030-02-27T23:59:59Z')
    await touch(db.pool, id)
    expect(await total(id)).toBe('100')
    await db.setNow('2030-05-02T00:00:00Z')
    await Promise.all([touch(db.pool, id), touch(db.pool, id), touch(db.pool, id)])
    expect(await total(id)).toBe('220')
    expect(await dates(id)).toMatchObject({ refresh: '2030-05-31T00:00:00' })
    expect(await journal(id)).toEqual([{ kind: 'refresh', total: '120', allocated: '0', used: '0' }])
    await touch(db.pool, id)
    expect(await total(id)).toBe('220')
  })

  test('A refresh of the pool pays for a reset that is due at the same time.', async () => {
    await db.setNow('2030-01-15T00:00:00Z')
    const id = await refreshed(60, '2030-02-15T00:00:00Z')
    await deduct(id, 100)
    await db.setNow('2030-02-15T00:00:00Z')
    await deduct(id, 60)
    expect(await balances(db.pool, id)).toMatchObject({ pool: { total: '160', allocated: '160', used: '160' } })
    expect((await refusal(deduct(id, 1))).message).toBe('Insufficient credits: 0 available, 1 needed')
  })

  test.each([
    ['trialing', '140'],
    ['active', '140'],
    ['past_due', '100'],
    ['canceled', '100'],
  ])('A refresh of the pool needs a subscription that runs: %s.', async (status, expected) => {
    await db.setNow('2030-01-15T00:00:00Z')
    const id = await refreshed(40, '2030-02-15T00:00:00Z')
    await db.pool.query('update organization_subscriptions set status = $2 where org_id = $1', [id, status])
    await db.setNow('2030-02-20T00:00:00Z')
    await touch(db.pool, id)
    expect(await total(id)).toBe(expected)
    expect(await dates(id)).toMatchObject({ refresh: '2030-03-15T00:00:00' })
  })

  test('A refresh of the pool that was due before its plan ended is given, though nothing touched the pool until then.', async () => {
    await db.setNow('2030-01-15T00:00:00Z')
    const id = await refreshed(40, '2030-02-15T00:00:00Z')
    await db.setNow('2030-04-20T00:00:00Z')
    await db.pool.query("update organization_subscriptions set status = 'canceled' where org_id = $1", [id])
    expect(await total(id)).toBe('220')
    expect(await dates(id)).toMatchObject({ refresh: '2030-05-15T00:00:00' })
  })

  test.each([
    [
      'begins',
      `insert into organization_subscriptions (org_id, subscription_plan, status) values ($1, 'platform', 'trialing')`,
    ],
    ['goes on', `update organization_subscriptions set status = 'active' where org_id = $1`],
  ])('Months without a plan are not made up for by a refresh of the pool when one %s.', async (_, change) => {
    await db.setNow('2030-01-15T00:00:00Z')
    const id = await refreshed(40, '2030-02-15T00:00:00Z')
    await db.pool.query("update organization_subscriptions set status = 'canceled' where org_id = $1", [id])
    await db.setNow('2030-04-20T00:00:00Z')
    await db.pool.query(change, [id])
    expect(await total(id)).toBe('100')
    await db.setNow('2030-05-15T00:00:00Z')
    await touch(db.pool, id)
    expect(await total(id)).toBe('140')
  })
})

describe('in a time zone', () => {
  const inZone = async (zone: string, work: () => Promise<void>) => {
    const { rows } = await db.pool.query('select tollgate.ledger_set_time_zone($1) as changed', [zone])
    expect(rows).toEqual([{ changed: true }])
    try {
      await work()
    } finally {
      await db.pool.query("select tollgate.ledger_set_time_zone('UTC')")
    }
  }

  test.each([
    // Days of 23 and 25 hours.
    ['day', '2030-03-31T10:00:00Z', '2030-03-30T23:00:00Z', '2030-03-31T22:00:00Z'],
    ['day', '2030-10-27T10:00:00Z', '2030-10-26T22:00:00Z', '2030-10-27T23:00:00Z'],
    ['month', '2030-06-30T22:30:00Z', '2030-06-30T22:00:00Z', '2030-07-31T22:00:00Z'],
  ])('In a time zone a %s at %s begins at %s and ends at %s.', async (window, at, starts, ends) => {
    await inZone('Europe/Berlin', async () => {
      const { rows } = await db.pool.query(
        'select tollgate.ledger_window_start($1, $2) as starts, tollgate.ledger_window_end($1, $2) as ends',
        [window, at],
      )
      expect(rows).toEqual([{ starts: new Date(starts), ends: new Date(ends) }])
    })
  })

  test.each([
    ['daily', '2030-03-30T07:00:00Z', '2030-03-31T06:00:00Z'],
    ['weekly', '2030-03-30T07:00:00Z', '2030-04-06T06:00:00Z'],
    ['monthly', '2030-03-15T07:00:00Z', '2030-04-15T06:00:00Z'],
  ])('In a time zone what comes back %s keeps its hour on the wall when summer begins.', async (period, at, next) => {
    await inZone('Europe/Berlin', async () => {
      const { rows } = await db.pool.query('select tollgate.ledger_next_date($1, $2, $2) as next', [period, at])
      expect(rows).toEqual([{ next: new Date(next) }])
    })
  })

  test('In a time zone that nobody knows nothing begins: it is refused and the old one stays.', async () => {
    expect((await refusal(db.pool.query("select tollgate.ledger_set_time_zone('Europe/Nowhere')"))).code).toBe('22023')
    const { rows } = await db.pool.query('select tollgate.ledger_time_zone() as zone')
    expect(rows).toEqual([{ zone: 'UTC' }])
  })
})

describe('what is due and nobody touches', () => {
  test('What is due and nobody touches is done by the sweep, once, though two run at the same time.', async () => {
    await db.setNow('2030-03-10T08:00:00Z')
    const idle = await db.seedOrganization({ credits: 1_000, users: { alice: 100, bob: 50 } })
    await deduct(idle.id, 70)
    await deduct(idle.id, 50, 'bob')
    await db.pool.query(
      `update organization_credit_pools set monthly_refresh_amount = 500, next_refresh_date = '2030-04-01T00:00:00Z' where org_id = $1`,
      [idle.id],
    )
    await db.setNow('2030-06-15T00:00:00Z')
    const swept = await Promise.all([sweepPeriods(db.database), sweepPeriods(db.database)])
    expect(Math.max(...swept)).toBeGreaterThanOrEqual(3)
    expect(await balances(db.pool, idle.id)).toMatchObject({
      pool: { total: '2500', allocated: '270', used: '120' },
      users: { alice: { used: '0' }, bob: { used: '0' } },
    })
    // All of it: what is due after the sweep is nothing.
    expect(await sweepPeriods(db.database)).toBe(0)
    const rows = await journal(idle.id)
    expect(rows).toHaveLength(3)
    expect(rows).toContainEqual({ kind: 'refresh', total: '1500', allocated: '0', used: '0' })
    await touch(db.pool, idle.id)
    expect(await journal(idle.id)).toHaveLength(3)
  })

  test('The sweep moves a subscription that nobody touches to the period in which now lies, counted from the old end.', async () => {
    await db.setNow('2030-03-01T00:00:00Z')
    const org = await db.seedOrganization({ credits: 1, users: { alice: 1 } })
    const period = async () => {
      const { rows } = await db.pool.query<{ starts: Date; ends: Date }>(
        'select current_period_start as starts, current_period_end as ends from organization_subscriptions where org_id = $1',
        [org.id],
      )
      return [rows[0]?.starts.toISOString().slice(0, 10), rows[0]?.ends.toISOString().slice(0, 10)]
    }
    await db.pool.query('update organization_subscriptions set current_period_end = $2 where org_id = $1', [
      org.id,
      '2030-03-31T00:00:00Z',
    ])
    await db.setNow('2030-03-30T23:59:59Z')
    await renewSubscriptions(db.database)
    expect(await period()).toEqual(['2030-03-01', '2030-03-31'])
    await db.setNow('2030-03-31T00:00:00Z')
    await Promise.all([renewSubscriptions(db.database), renewSubscriptions(db.database)])
    expect(await period()).toEqual(['2030-03-31', '2030-04-30'])
    await db.setNow('2030-08-01T00:00:00Z')
    await renewSubscriptions(db.database)
    expect(await period()).toEqual(['2030-07-29', '2030-08-28'])
  })
})
