import { describe, expect, test } from 'vitest'
import { balances, refusal } from '../support/books.ts'
import { psqlInstalled, useDatabase } from '../support/database.ts'

const db = useDatabase()
const seed = () => db.seedOrganization({ credits: 10_000, users: { alice: 5_000 } })
const metadata = { company_id: 'acme-1', operation: 'standard', fields_enriched: 12 }

async function value(sql: string, parameters: unknown[]): Promise<unknown> {
  const { rows } = await db.pool.query<Record<string, unknown>>(sql, parameters)
  return Object.values(rows[0] ?? {})[0]
}

async function attribution(organizationId: string): Promise<unknown[]> {
  const { rows } = await db.pool.query(
    `select user_id, credits_used, service_type, service_name, request_id, request_metadata, api_cost, markup_applied, source
    from credit_usage_attribution where org_id = $1 order by created_at`,
    [organizationId],
  )
  return rows
}

describe('the functions callers use from SQL', () => {
  test('There is one of each function that callers use from SQL, with the names of its parameters, and it returns a boolean.', async () => {
    const { rows } = await db.pool.query(
      `select proname as name, pg_get_function_arguments(oid) as arguments, prorettype::regtype::text as result, prosecdef
      from pg_proc where proname in
        ('has_sufficient_credits', 'deduct_credits', 'add_credits_to_pool', 'allocate_credits_to_user') order by proname`,
    )
    expect(rows).toEqual([
      {
        name: 'add_credits_to_pool',
        arguments: 'p_org_id uuid, p_credits_amount numeric, p_purchase_amount numeric DEFAULT 0.00',
        result: 'boolean',
        prosecdef: true,
      },
      {
        name: 'allocate_credits_to_user',
        arguments:
          'p_org_id uuid, p_user_id character varying, p_credits_amount numeric, ' +
          'p_allocated_by character varying DEFAULT NULL::character varying',
        result: 'boolean',
        prosecdef: true,
      },
      {
        name: 'deduct_credits',
        arguments:
          'p_org_id uuid, p_user_id character varying, p_credits_used numeric, p_service_type character varying, ' +
          'p_service_name character varying DEFAULT NULL::character varying, ' +
          'p_request_id character varying DEFAULT NULL::character varying, p_request_metadata jsonb DEFAULT NULL::jsonb',
        result: 'boolean',
        prosecdef: true,
      },
      {
        name: 'has_sufficient_credits',
        arguments: 'p_org_id uuid, p_user_id character varying, p_credits_needed numeric',
        result: 'boolean',
        prosecdef: true,
      },
    ])
  })

  test.each([
    [5_000, true],
    ['5000', true],
    ['5000.000001', false],
    [5_001, false],
    [0, true],
  ])('S1: has_sufficient_credits for %s of 5000 returns %s.', async (needed, expected) => {
    const org = await seed()
    expect(await value('SELECT has_sufficient_credits($1,$2,$3)', [org.id, 'alice', needed])).toBe(expected)
  })

  test('S1: a user without an allocation, or with one that is switched off, has none.', async () => {
    const org = await seed()
    expect(await value('SELECT has_sufficient_credits($1,$2,$3)', [org.id, 'nobody', 1])).toBe(false)
    await db.pool.query('update user_credit_allocations set is_active = false where org_id = $1', [org.id])
    expect(await value('SELECT has_sufficient_credits($1,$2,$3)', [org.id, 'alice', 1])).toBe(false)
  })

  test.each([
    ['$7 as JSON text', 'SELECT deduct_credits($1,$2,$3,$4,$5,$6,$7)'],
    ['$7::jsonb', 'SELECT deduct_credits($1,$2,$3,$4,$5,$6,$7::jsonb)'],
    [
      'names',
      `SELECT deduct_credits(p_org_id := $1, p_user_id := $2, p_credits_used := $3, p_service_type := $4,
        p_service_name := $5, p_request_id := $6, p_request_metadata := $7)`,
    ],
  ])('S2, S4: deduct_credits called with %s books one charge.', async (_style, sql) => {
    const org = await seed()
    const parameters = [org.id, 'alice', 50, 'company_enrichment', 'loopnet', 'req_1_0a', JSON.stringify(metadata)]
    expect(await value(sql, parameters)).toBe(true)
    expect(await attribution(org.id)).toEqual([
      {
        user_id: 'alice',
        credits_used: '50.000000',
        service_type: 'company_enrichment',
        service_name: 'loopnet',
        request_id: 'req_1_0a',
        request_metadata: metadata,
        api_cost: '0.000000000',
        markup_applied: '0.000000000',
        source: 'sql',
      },
    ])
    expect(await balances(db.pool, org.id)).toEqual({
      pool: { total: '10000', allocated: '5000', used: '50', held: '0', overage: '0' },
      users: { alice: { allocated: '5000', used: '50', held: '0' } },
      entries: 1,
    })
  })

  test('S2: deduct_credits takes NULL for the service name, the request id and the metadata.', async () => {
    const org = await seed()
    const parameters = [org.id, 'alice', '2', 'valuation', null, null, null]
    expect(await value('SELECT deduct_credits($1,$2,$3,$4,$5,$6,$7)', parameters)).toBe(true)
    expect(await attribution(org.id)).toMatchObject([{ service_name: null, request_id: null, request_metadata: null }])
  })

  test('S3: deduct_credits takes four arguments, an int or a numeric string.', async () => {
    const org = await seed()
    expect(await value('SELECT deduct_credits($1,$2,$3,$4)', [org.id, 'alice', 10, 'contact_lookup'])).toBe(true)
    expect(await value('SELECT deduct_credits($1,$2,$3,$4)', [org.id, 'alice', '0.25', 'contact_lookup'])).toBe(true)
    expect(await value('SELECT deduct_credits($1,$2,$3::int,$4)', [org.id, 'alice', 5, 'contact_lookup'])).toBe(true)
    expect(await value('SELECT deduct_credits($1,$2,$3::bigint,$4)', [org.id, 'alice', 5, 'contact_lookup'])).toBe(true)
    const remaining = `SELECT remaining_credits FROM user_credit_allocations
      WHERE org_id=$1 AND user_id=$2 AND is_active=TRUE`
    expect(await value(remaining, [org.id, 'alice'])).toBe('4979.750000')
  })

  test('S4: has_sufficient_credits, add_credits_to_pool and allocate_credits_to_user can be called by name.', async () => {
    const org = await seed()
    const has = 'SELECT has_sufficient_credits(p_org_id := $1, p_user_id := $2, p_credits_needed := $3)'
    const add = 'SELECT add_credits_to_pool(p_org_id => $1, p_credits_amount => $2, p_purchase_amount => $3)'
    const allocate = `SELECT allocate_credits_to_user(p_org_id := $1, p_user_id := $2, p_credits_amount := $3,
      p_allocated_by := $4)`
    expect(await value(has, [org.id, 'alice', 5_000])).toBe(true)
    expect(await value(add, [org.id, 1_000, '9.99'])).toBe(true)
    expect(await value(allocate, [org.id, 'bob', 6_000, 'alice'])).toBe(true)
    expect(await balances(db.pool, org.id)).toMatchObject({
      pool: { total: '11000', allocated: '11000', used: '0' },
      users: { alice: { allocated: '5000' }, bob: { allocated: '6000' } },
    })
  })

  test('S6, S7: members and the analytics of a caller can be read.', async () => {
    const org = await seed()
    expect(await value('SELECT 1 FROM organization_members WHERE org_id=$1 AND user_id=$2', [org.id, 'alice'])).toBe(1)
    for (const [amount, request] of [
      [50, 'r1'],
      [100, 'r2'],
    ]) {
      const parameters = [org.id, 'alice', amount, 'company_enrichment', 'loopnet', request, JSON.stringify(metadata)]
      await value('SELECT deduct_credits($1,$2,$3,$4,$5,$6,$7)', parameters)
    }
    const { rows } = await db.pool.query(
      `SELECT service_type, service_name, SUM(credits_used) AS total, COUNT(*) AS requests, AVG(credits_used) AS average,
        MAX(request_metadata->>'company_id') AS company
      FROM credit_usage_attribution WHERE org_id=$1 AND created_at >= NOW() - INTERVAL '30 days'
      GROUP BY service_type, service_name`,
      [org.id],
    )
    expect(rows).toEqual([
      {
        service_type: 'company_enrichment',
        service_name: 'loopnet',
        total: '150.000000',
        requests: '2',
        average: '75.0000000000000000',
        company: 'acme-1',
      },
    ])
  })

  test('S8: add_credits_to_pool makes the pool of an organization that has none, and counts what was paid.', async () => {
    const { rows } = await db.pool.query("insert into organizations (name) values ('without a pool') returning id")
    const id: string = rows[0].id
    expect(await value('SELECT add_credits_to_pool($1,$2)', [id, 10])).toBe(true)
    expect(await value('SELECT add_credits_to_pool($1,$2,$3)', [id, 20, 4.5])).toBe(true)
    const pool = await db.pool.query(
      `select total_credits, available_credits, lifetime_purchased_credits, lifetime_spent_amount
      from organization_credit_pools where org_id = $1`,
      [id],
    )
    expect(pool.rows).toEqual([
      {
        total_credits: '30.000000',
        available_credits: '30.000000',
        lifetime_purchased_credits: '30.000000',
        lifetime_spent_amount: '4.50',
      },
    ])
  })

  test.skipIf(!psqlInstalled())('The functions can be called from psql, positional and by name.', async () => {
    const org = await seed()
    const result = await db.psql(`
      SELECT has_sufficient_credits('${org.id}', 'alice', 50);
      SELECT deduct_credits('${org.id}', 'alice', 50, 'company_enrichment');
      SELECT deduct_credits('${org.id}', 'alice', 2, 'valuation', 'v', 'req_1', '{"company_id": "x"}');
      SELECT deduct_credits(p_user_id := 'alice', p_org_id := '${org.id}', p_credits_used := 1.5, p_service_type := 'valuation');
      SELECT add_credits_to_pool('${org.id}', 10, 1.00);
      SELECT allocate_credits_to_user('${org.id}', 'bob', 7);
      SELECT trim_scale(remaining_credits) FROM user_credit_allocations
        WHERE org_id = '${org.id}' AND user_id = 'alice' AND is_active = TRUE;`)
    expect(result).toEqual({ code: 0, stdout: 't\nt\nt\nt\nt\nt\n4946.5', stderr: '' })
  })

  test.skipIf(!psqlInstalled())('A refusal in psql has SQLSTATE P0001.', async () => {
    const org = await seed()
    const result = await db.psql(`SELECT deduct_credits('${org.id}', 'alice', 5001, 'valuation');`)
    expect(result.code).toBe(3)
    expect(result.stderr).toContain('P0001: Insufficient credits: 5000 available, 5001 needed')
  })
})

describe('a refusal', () => {
  test.each([
    [
      'more than is left',
      'SELECT deduct_credits($1,$2,$3,$4)',
      ['alice', 5_001, 'valuation'],
      'Insufficient credits: 5000 available, 5001 needed',
    ],
    [
      'no allocation',
      'SELECT deduct_credits($1,$2,$3,$4)',
      ['nobody', 1, 'valuation'],
      'No credit allocation found for user nobody in org ORG',
    ],
    [
      'more than the pool has',
      'SELECT allocate_credits_to_user($1,$2,$3)',
      ['bob', '5000.5'],
      'Insufficient credits in pool: 5000 available, 5000.5 needed',
    ],
    ['no user', 'SELECT allocate_credits_to_user($1,$2,$3)', ['', 5], 'Invalid user: the user id must not be empty'],
  ])('%s is refused with P0001 and its message, and nothing is written.', async (_what, sql, parameters, message) => {
    const org = await seed()
    const before = await balances(db.pool, org.id)
    const error = await refusal(db.pool.query(sql, [org.id, ...parameters]))
    expect({ code: error.code, message: error.message }).toEqual({
      code: 'P0001',
      message: message.replace('ORG', org.id),
    })
    expect(await balances(db.pool, org.id)).toEqual(before)
  })

  test('An allocation that is switched off, and one of an organization that is suspended, are refused.', async () => {
    const org = await seed()
    const deduct = () => refusal(db.pool.query("select deduct_credits($1, 'alice', 1, 'valuation')", [org.id]))
    await db.pool.query("update organizations set status = 'suspended' where id = $1", [org.id])
    expect(await deduct()).toMatchObject({ code: 'P0001', message: `Organization ${org.id} is not active` })
    await db.pool.query('update user_credit_allocations set is_active = false where org_id = $1', [org.id])
    expect(await deduct()).toMatchObject({
      code: 'P0001',
      message: expect.stringContaining('No credit allocation found'),
    })
    expect((await balances(db.pool, org.id)).entries).toBe(0)
  })

  test('An organization that does not exist is refused.', async () => {
    const unknown = '00000000-0000-4000-8000-000000000000'
    const allocate = db.pool.query("select allocate_credits_to_user($1, 'alice', 1)", [unknown])
    expect(await refusal(allocate)).toMatchObject({ code: 'P0001', message: `No credit pool found for org ${unknown}` })
    expect(await refusal(db.pool.query('select add_credits_to_pool($1, 1)', [unknown]))).toMatchObject({
      code: '23503',
    })
    expect(await refusal(db.pool.query("select deduct_credits($1, 'alice', 1, 'x')", [unknown]))).toMatchObject({
      code: 'P0001',
      message: `No credit allocation found for user alice in org ${unknown}`,
    })
  })

  test("A refusal aborts the caller's transaction, with what it did before.", async () => {
    const org = await seed()
    const client = await db.pool.connect()
    try {
      await client.query('begin')
      await client.query("select deduct_credits($1, 'alice', 100, 'valuation')", [org.id])
      await refusal(client.query("select deduct_credits($1, 'alice', 4901, 'valuation')", [org.id]))
      expect(await refusal(client.query('select 1'))).toMatchObject({ code: '25P02' })
      expect(await client.query('commit')).toMatchObject({ command: 'ROLLBACK' })
    } finally {
      client.release()
    }
    expect(await balances(db.pool, org.id)).toMatchObject({ users: { alice: { used: '0' } }, entries: 0 })
  })
})
