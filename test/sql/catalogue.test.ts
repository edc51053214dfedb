import { describe, expect, test } from 'vitest'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()
const tables = [
  'organization_subscriptions',
  'organization_credit_pools',
  'user_credit_allocations',
  'credit_usage_attribution',
  'org_billing_history',
]

/** The only column of a query, as a list. */
async function list(sql: string, parameters: unknown[] = []): Promise<string[]> {
  const { rows } = await db.pool.query<{ name: string }>(sql, parameters)
  return rows.map((row) => row.name)
}

describe('the schema that callers know', () => {
  test('The schema that callers know has the indexes of the five tables.', async () => {
    const names = await list('select indexname as name from pg_indexes where tablename = any($1)', [tables])
    expect(names).toEqual(
      expect.arrayContaining([
        ...tables.map((table) => `${table}_pkey`),
        'organization_credit_pools_org_id_key',
        'user_credit_allocations_org_id_user_id_key',
        ...['one_active', 'org_id', 'status', 'plan', 'lago', 'stripe'].map((name) => `idx_org_subs_${name}`),
        'idx_org_credit_pools_org_id',
        ...['org_id', 'user_id', 'active'].map((name) => `idx_user_credits_${name}`),
        ...['org_id', 'user_id', 'allocation_id', 'service_type', 'created_at', 'metadata_gin'].map(
          (name) => `idx_credit_usage_${name}`,
        ),
        ...[
          'org_id',
          'subscription_id',
          'event_type',
          'payment_status',
          'created_at',
          'lago_invoice',
          'stripe_invoice',
        ].map((name) => `idx_billing_history_${name}`),
      ]),
    )
    expect(names.length).toBeGreaterThanOrEqual(30)
  })

  test('The schema that callers know has the seven foreign keys of the five tables, none that deletes books.', async () => {
    const { rows } = await db.pool.query(
      `select conrelid::regclass::text as "from", confrelid::regclass::text as "to", confdeltype as on_delete
      from pg_constraint where contype = 'f' and conrelid = any($1::text[]::regclass[]) order by 1, 2`,
      [tables],
    )
    expect(rows).toEqual([
      { from: 'credit_usage_attribution', to: 'organizations', on_delete: 'r' },
      { from: 'credit_usage_attribution', to: 'user_credit_allocations', on_delete: 'r' },
      { from: 'org_billing_history', to: 'organization_subscriptions', on_delete: 'n' },
      { from: 'org_billing_history', to: 'organizations', on_delete: 'r' },
      { from: 'organization_credit_pools', to: 'organizations', on_delete: 'r' },
      { from: 'organization_subscriptions', to: 'organizations', on_delete: 'r' },
      { from: 'user_credit_allocations', to: 'organizations', on_delete: 'r' },
    ])
  })

  test('The schema that callers know keeps credits as numeric(20,6) and costs as numeric(20,9).', async () => {
    const { rows } = await db.pool.query<{ name: string; type: string }>(
      `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
      where attrelid = any($1::text[]::regclass[]) and attnum > 0
        and (attname like '%credits%' or attname like '%\\_cost' or attname in
          ('monthly_refresh_amount', 'overage_limit', 'markup_applied'))`,
      [tables],
    )
    expect(rows.length).toBe(18)
    for (const { name, type } of rows) {
      const dollars = ['api_cost', 'markup_applied', 'total_cost'].includes(name)
      expect({ name, type }).toEqual({ name, type: dollars ? 'numeric(20,9)' : 'numeric(20,6)' })
    }
  })

  test.each([
    [
      'org_billing_summary',
      'org_id org_name subscription_plan monthly_price subscription_status total_credits allocated_credits used_credits ' +
        'available_credits lifetime_spent_amount member_count allocated_users_count',
    ],
    [
      'user_multi_org_credits',
      'user_id org_id org_name allocated_credits used_credits remaining_credits reset_period next_reset_date is_active',
    ],
    ['top_credit_users_by_org', 'org_id user_id total_credits_used request_count services_used last_usage'],
    [
      'org_billing_metrics',
      'org_id org_name invoice_count total_revenue failed_payments total_credits_used active_users',
    ],
  ])('The schema that callers know has the view %s.', async (view, columns) => {
    const names = await list(
      "select column_name as name from information_schema.columns where table_schema = 'public' and table_name = $1 order by ordinal_position",
      [view],
    )
    expect(names).toEqual(columns.split(' '))
  })

  test('The schema that callers know allows one active subscription of an organization.', async () => {
    const org = await db.seedOrganization({ credits: 0, users: { alice: 0 } })
    const subscribe = (status: string) =>
      db.pool.query(
        "insert into organization_subscriptions (org_id, subscription_plan, status) values ($1, 'byok', $2)",
        [org.id, status],
      )
    await subscribe('canceled')
    await expect(subscribe('active')).rejects.toMatchObject({ code: '23505', constraint: 'idx_org_subs_one_active' })
  })
})

describe('the views', () => {
  test('org_billing_metrics does not multiply invoices by usage.', async () => {
    const org = await db.seedOrganization({ name: 'metrics', credits: 100, users: { alice: 50, bob: 50 } })
    await db.pool.query(
      `insert into org_billing_history (org_id, event_type, amount, payment_status)
        values ($1, 'invoice_created', 49.00, 'paid'), ($1, 'invoice_created', 99.50, 'paid'), ($1, 'invoice_failed', 5, 'failed')`,
      [org.id],
    )
    for (const user of ['alice', 'alice', 'bob']) {
      await db.pool.query("select deduct_credits($1, $2, 10, 'valuation')", [org.id, user])
    }
    const { rows } = await db.pool.query('select * from org_billing_metrics where org_id = $1', [org.id])
    expect(rows).toEqual([
      {
        org_id: org.id,
        org_name: 'metrics',
        invoice_count: '2',
        total_revenue: '148.50',
        failed_payments: '1',
        total_credits_used: '30.000000',
        active_users: '2',
      },
    ])
  })

  test('org_billing_summary, user_multi_org_credits and top_credit_users_by_org say what was booked.', async () => {
    const org = await db.seedOrganization({ name: 'summary', credits: 100, users: { alice: 50, bob: 20 } })
    await db.pool.query("select deduct_credits($1, 'alice', 10, 'valuation')", [org.id])
    await db.pool.query("select deduct_credits($1, 'alice', 5, 'bulk_export')", [org.id])
    await db.pool.query("update user_credit_allocations set is_active = false where org_id = $1 and user_id = 'bob'", [
      org.id,
    ])
    const query = async (sql: string) => (await db.pool.query(sql, [org.id])).rows
    expect(
      await query(`select subscription_plan, subscription_status, total_credits, allocated_credits, used_credits,
        available_credits, member_count, allocated_users_count from org_billing_summary where org_id = $1`),
    ).toEqual([
      {
        subscription_plan: 'platform',
        subscription_status: 'active',
        total_credits: '100.000000',
        allocated_credits: '70.000000',
        used_credits: '15.000000',
        available_credits: '30.000000',
        member_count: '2',
        allocated_users_count: '1',
      },
    ])
    expect(
      await query('select user_id, remaining_credits, is_active from user_multi_org_credits where org_id = $1'),
    ).toEqual([
      { user_id: 'alice', remaining_credits: '35.000000', is_active: true },
      { user_id: 'bob', remaining_credits: '20.000000', is_active: false },
    ])
    expect(
      await query(`select user_id, total_credits_used, request_count, services_used from top_credit_users_by_org
        where org_id = $1`),
    ).toEqual([
      {
        user_id: 'alice',
        total_credits_used: '15.000000',
        request_count: '2',
        services_used: ['bulk_export', 'valuation'],
      },
    ])
    await db.pool.query("update organizations set status = 'suspended' where id = $1", [org.id])
    expect(await query('select 1 from org_billing_summary where org_id = $1')).toEqual([])
  })
})
