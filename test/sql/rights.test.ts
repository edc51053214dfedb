import type pg from 'pg'
import { describe, expect, test } from 'vitest'
import { balances, refusal } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()
const seed = () => db.seedOrganization({ credits: 1_000, users: { alice: 500 } })

/** Runs `work` with the rights of the role that callers get, on a connection that is thrown away after. */
async function asCaller<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await db.pool.connect()
  try {
    await client.query('set role tollgate_caller')
    return await work(client)
  } finally {
    client.release(true)
  }
}

const readable = [
  'credit_usage_attribution',
  'org_billing_history',
  'org_billing_metrics',
  'org_billing_summary',
  'organization_credit_pools',
  'organization_members',
  'organization_subscriptions',
  'organizations',
  'top_credit_users_by_org',
  'user_credit_allocations',
  'user_multi_org_credits',
]

describe('the role tollgate_caller', () => {
  test('The role tollgate_caller executes the four functions.', async () => {
    const org = await seed()
    await asCaller(async (client) => {
      await client.query("select has_sufficient_credits($1, 'alice', 1)", [org.id])
      await client.query("select deduct_credits($1, 'alice', 1, 'valuation')", [org.id])
      await client.query('select add_credits_to_pool($1, 10)', [org.id])
      await client.query("select allocate_credits_to_user($1, 'alice', 10)", [org.id])
    })
    expect(await balances(db.pool, org.id)).toEqual({
      pool: { total: '1010', allocated: '510', used: '1', held: '0', overage: '0' },
      users: { alice: { allocated: '510', used: '1', held: '0' } },
      entries: 1,
    })
  })

  test('The role tollgate_caller reads the tables and views of the contract, and nothing else.', async () => {
    const { rows } = await db.pool.query<{ name: string }>(
      `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm', 'p')
        and has_table_privilege('tollgate_caller', oid, 'select') order by relname`,
    )
    expect(rows.map((row) => row.name)).toEqual(readable)
    for (const name of readable) await asCaller((client) => client.query(`select * from ${name}`))
  })

  test('The role tollgate_caller writes no table.', async () => {
    const { rows } = await db.pool.query(
      `select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm', 'p', 'S')
        and has_table_privilege('tollgate_caller', oid, 'insert, update, delete, truncate, references, trigger')`,
    )
    expect(rows).toEqual([])
    for (const statement of [
      'update organization_credit_pools set total_credits = 1000000',
      'update user_credit_allocations set used_credits = 0',
      "insert into organizations (name) values ('mine')",
      'delete from credit_usage_attribution',
      'truncate credit_usage_attribution',
    ]) {
      const error = await asCaller((client) => refusal(client.query(statement)))
      expect({ statement, code: error.code }).toEqual({ statement, code: '42501' })
    }
  })

  test('The role tollgate_caller reads and writes nothing of the schema tollgate.', async () => {
    const { rows } = await db.pool.query(
      `select relname from pg_class where relnamespace = 'tollgate'::regnamespace and relkind in ('r', 'v', 'm', 'p', 'S')
        and has_table_privilege('tollgate_caller', oid, 'select, insert, update, delete, truncate, references, trigger')`,
    )
    expect(rows).toEqual([])
  })

  test('The role tollgate_caller executes nothing that lies beneath.', async () => {
    const { rows } = await db.pool.query<{ name: string }>(
      `select proname as name from pg_proc where pronamespace in ('public'::regnamespace, 'tollgate'::regnamespace)
        and has_function_privilege('tollgate_caller', oid, 'execute') order by proname`,
    )
    expect(rows.map((row) => row.name)).toEqual([
      'add_credits_to_pool',
      'allocate_credits_to_user',
      'deduct_credits',
      'has_sufficient_credits',
      'is_org_admin',
      'tollgate_now',
    ])
    const org = await seed()
    const book = asCaller((client) =>
      refusal(client.query("select tollgate.ledger_lock_and_refresh($1, 'alice')", [org.id])),
    )
    expect((await book).code).toBe('42501')
  })
})

test('No function of ours can be executed by just anybody.', async () => {
  const { rows } = await db.pool.query(
    `select proname from pg_proc where pronamespace in ('public'::regnamespace, 'tollgate'::regnamespace)
      and exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0)`,
  )
  expect(rows).toEqual([])
})

test('Every function that writes or runs with our rights has a search path of its own, temporary objects last.', async () => {
  const { rows } = await db.pool.query(
    `select proname, proconfig from pg_proc where pronamespace in ('public'::regnamespace, 'tollgate'::regnamespace)
      and proname <> 'tollgate_now' and prosqlbody is null
      and (proconfig is null or not proconfig::text ~ 'search_path=pg_catalog(, tollgate)?, pg_temp')`,
  )
  expect(rows).toEqual([])
})

describe('a caller who shadows our names', () => {
  test('A caller with temporary tables and functions of our names changes nothing.', async () => {
    const org = await seed()
    await asCaller(async (client) => {
      for (const table of ['organization_credit_pools', 'user_credit_allocations', 'credit_usage_attribution']) {
        await client.query(`create temp table ${table} as select * from public.${table}`)
      }
      await client.query('update pg_temp.user_credit_allocations set allocated_credits = 1000000')
      await client.query(`create function pg_temp.tollgate_now() returns timestamptz language sql
        as $$ select timestamptz '2099-01-01' $$`)
      await client.query(`create function pg_temp.ledger_available(numeric, numeric, boolean, numeric, numeric) returns numeric
        language sql as $$ select 1000000.0 $$`)
      await client.query('set search_path = pg_temp, public')
      const deduct = 'select deduct_credits($1, $2, $3, $4)'
      expect((await refusal(client.query(deduct, [org.id, 'alice', 501, 'valuation']))).message).toBe(
        'Insufficient credits: 500 available, 501 needed',
      )
      await client.query(deduct, [org.id, 'alice', 500, 'valuation'])
    })
    const { rows } = await db.pool.query(
      "select created_at < now() + interval '1 hour' as dated_today from credit_usage_attribution where org_id = $1",
      [org.id],
    )
    expect(rows).toEqual([{ dated_today: true }])
    expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '500', used: '500', held: '0' })
  })

  test('A caller with a schema of its own changes nothing.', async () => {
    const org = await seed()
    await db.pool.query('create schema evil authorization tollgate_caller')
    await asCaller(async (client) => {
      await client.query('create table evil.user_credit_allocations as select * from public.user_credit_allocations')
      await client.query('update evil.user_credit_allocations set allocated_credits = 1000000')
      await client.query(`create function evil.ledger_check_amount(numeric) returns void language sql as $$ select $$`)
      await client.query('set search_path = evil, pg_catalog, public')
      const deduct = 'select public.deduct_credits($1, $2, $3, $4)'
      expect((await refusal(client.query(deduct, [org.id, 'alice', 501, 'valuation']))).message).toBe(
        'Insufficient credits: 500 available, 501 needed',
      )
      expect((await refusal(client.query(deduct, [org.id, 'alice', -1, 'valuation']))).message).toContain('negative')
    })
    await db.pool.query('drop schema evil cascade')
    expect((await balances(db.pool, org.id)).entries).toBe(0)
  })
})
