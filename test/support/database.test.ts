import { describe, expect, test } from 'vitest'
import { psqlInstalled, useDatabase } from './database.ts'

const db = useDatabase()

describe('a test database', () => {
  test('A test database has what was seeded.', async () => {
    const acme = await db.seedOrganization({ credits: 10_000, users: { alice: 5_000, bob: '0.5' } })
    const { rows } = await db.pool.query(
      'select user_id, remaining_credits from user_credit_allocations where org_id = $1 order by user_id',
      [acme.id],
    )
    expect(rows).toEqual([
      { user_id: 'alice', remaining_credits: '5000.000000' },
      { user_id: 'bob', remaining_credits: '0.500000' },
    ])
    expect(acme.keys.alice).toMatch(/^uc_[0-9a-f]{64}$/)
  })

  test('A test database has a clock that can be stopped and moved.', async () => {
    await db.setNow('2031-01-31T12:00:00Z')
    await db.moveClock('1 month')
    const { rows } = await db.pool.query('select tollgate.tollgate_now() as now')
    expect(rows).toEqual([{ now: new Date('2031-02-28T12:00:00Z') }])
  })

  test('A test database has the clock of the machine again in the next test.', async () => {
    const { rows } = await db.pool.query(
      'select abs(extract(epoch from tollgate.tollgate_now() - clock_timestamp())) < 60 as same',
    )
    expect(rows).toEqual([{ same: true }])
  })

  test.skipIf(!psqlInstalled())('A test database is reached by psql.', async () => {
    expect(await db.psql('select 1 + 1')).toEqual({ code: 0, stdout: '2', stderr: '' })
  })
})
