import { describe, expect, test } from 'vitest'
import { balances, refusal } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()

describe('the books', () => {
  test.each([
    'update tollgate.ledger_journal set pool_total = 0',
    'delete from tollgate.ledger_journal',
    'truncate tollgate.ledger_journal',
    'update credit_usage_attribution set credits_used = 0',
    'delete from credit_usage_attribution',
    'delete from credit_usage_attribution where false',
    'truncate credit_usage_attribution',
    'truncate organizations cascade',
  ])('The books refuse to be rewritten: %s.', async (statement) => {
    const org = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
    await db.pool.query("select deduct_credits($1, 'alice', 5, 'valuation')", [org.id])
    const before = await balances(db.pool, org.id)
    const error = await refusal(db.pool.query(statement))
    expect(error.code).toBe('P0001')
    expect(error.message).toMatch(/^(ledger_journal|credit_usage_attribution) is append-only: write a new row/)
    expect(await balances(db.pool, org.id)).toEqual(before)
  })

  test('The books keep their organization: it is deactivated, not deleted.', async () => {
    const org = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
    const error = await refusal(db.pool.query('delete from organizations where id = $1', [org.id]))
    // Up to PostgreSQL 17 a RESTRICT has the code of any foreign key.
    expect(['23001', '23503']).toContain(error.code)
    await db.pool.query("update organizations set status = 'deleted' where id = $1", [org.id])
    expect((await balances(db.pool, org.id)).pool.total).toBe('100')
  })

  test('The books keep the allocation a charge was booked on.', async () => {
    const org = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
    await db.pool.query("select deduct_credits($1, 'alice', 5, 'valuation')", [org.id])
    const error = await refusal(db.pool.query('delete from user_credit_allocations where org_id = $1', [org.id]))
    expect(['23001', '23503']).toContain(error.code)
  })

  test('The books journal what was bought and handed out, and by whom.', async () => {
    const org = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
    await db.pool.query('select add_credits_to_pool($1, 7, 0.50)', [org.id])
    await db.pool.query("select allocate_credits_to_user($1, 'bob', 20, 'alice')", [org.id])
    const { rows } = await db.pool.query(
      `select kind, user_id, trim_scale(pool_total) as total, trim_scale(pool_allocated) as allocated, paid,
        trim_scale(allocation_allocated) as given, actor from tollgate.ledger_journal where org_id = $1 order by id`,
      [org.id],
    )
    expect(rows).toEqual([
      { kind: 'purchase', user_id: null, total: '100', allocated: '0', given: '0', paid: '0.00', actor: 'tollgate' },
      { kind: 'allocate', user_id: 'alice', total: '0', allocated: '50', given: '50', paid: null, actor: 'tollgate' },
      { kind: 'purchase', user_id: null, total: '7', allocated: '0', given: '0', paid: '0.50', actor: 'tollgate' },
      { kind: 'allocate', user_id: 'bob', total: '0', allocated: '20', given: '20', paid: null, actor: 'alice' },
    ])
  })
})

describe('the audit', () => {
  test.each([
    [
      'update organization_credit_pools set total_credits = total_credits + 1',
      'pool.total_credits is not the sum of the journal',
    ],
    [
      'update organization_credit_pools set used_credits = used_credits - 1',
      'pool.used_credits is not the sum of the charges',
    ],
    ['update organization_credit_pools set held_credits = 1', 'pool.held_credits is not the sum of the open holds'],
    [
      'update organization_credit_pools set overage_credits = 1',
      'pool.overage_credits is not what allocations are below zero',
    ],
    [
      'update user_credit_allocations set used_credits = 0',
      'allocation.used_credits is not the charges less the resets',
    ],
    ['update user_credit_allocations set held_credits = 1', 'allocation.held_credits is not the sum of the open holds'],
    [
      'update user_credit_allocations set allocated_credits = 51',
      'allocation.allocated_credits is not the sum of the journal',
    ],
  ])('The audit finds it when somebody runs %s.', async (statement, finding) => {
    const org = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
    await db.pool.query("select deduct_credits($1, 'alice', 5, 'valuation')", [org.id])
    const client = await db.pool.connect()
    try {
      await client.query('begin')
      await client.query(`${statement} where org_id = $1`, [org.id])
      const { rows } = await client.query<{ finding: string }>(
        'select finding from tollgate.ledger_audit() where org_id = $1',
        [org.id],
      )
      expect(rows.map((row) => row.finding)).toContain(finding)
      await client.query('rollback')
    } finally {
      client.release()
    }
  })
})
