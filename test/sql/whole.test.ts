import { expect, test } from 'vitest'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()

test('tollgate_whole shows whole credits: what is left rounded down, what is used rounded up.', async () => {
  const org = await db.seedOrganization({ credits: '1000.9', users: { alice: '100.5' } })
  await db.pool.query("select deduct_credits($1, 'alice', 10.2, 'valuation')", [org.id])
  const client = await db.pool.connect()
  try {
    await client.query('set search_path to tollgate_whole, public')
    await client.query('set role tollgate_caller')
    const read = async (table: string, columns: string) =>
      (await client.query(`select ${columns} from ${table} where org_id = $1`, [org.id])).rows
    expect(
      await read('organization_credit_pools', 'total_credits, allocated_credits, used_credits, available_credits'),
    ).toEqual([{ total_credits: '1000', allocated_credits: '101', used_credits: '11', available_credits: '900' }])
    expect(
      await read('user_credit_allocations', 'remaining_credits, pg_typeof(remaining_credits)::text as type'),
    ).toEqual([{ remaining_credits: '90', type: 'bigint' }])
    expect(await read('credit_usage_attribution', 'credits_used')).toEqual([{ credits_used: '11' }])
    expect(await read('org_billing_summary', 'used_credits')).toEqual([{ used_credits: '11' }])
    expect(await read('user_multi_org_credits', 'remaining_credits')).toEqual([{ remaining_credits: '90' }])
    expect(await read('top_credit_users_by_org', 'total_credits_used')).toEqual([{ total_credits_used: '11' }])
  } finally {
    client.release(true)
  }
})
