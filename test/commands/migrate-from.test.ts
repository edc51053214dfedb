/** `tollgate migrate-from ops-center`: what it says about the database it reads, and what stands here afterwards. */
import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import type { MoveReport } from '../../src/moving/move.ts'
import { openSource } from '../../src/moving/source.ts'
import { rawRoot } from '../../src/vault/root-key.ts'
import { refusal } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'
import { useOpsCenter } from '../support/ops-center.ts'
import { runCommand } from '../support/run-tollgate.ts'
import { ROOT_KEY } from '../support/tollgate.ts'
import { openTestVault } from '../support/vault.ts'

const FERNET = JSON.parse(readFileSync(new URL('../vault/fernet-tokens.json', import.meta.url), 'utf8')) as {
  encryptionKey: string
  tokenOfOther: string
  tokens: { text: string; token: string }[]
}
const [ONE, TWO] = FERNET.tokens as [{ text: string; token: string }, { text: string; token: string }]
const LOOPNET = 'b44b6688-2e5d-45ad-9bae-412f38d58201'
const OVER = 'c44b6688-2e5d-45ad-9bae-412f38d58202'
const NOBODY = 'd44b6688-2e5d-45ad-9bae-412f38d58203'
const ORPHAN = 'e44b6688-2e5d-45ad-9bae-412f38d58204'
const CAROL = '0c0b6688-2e5d-45ad-9bae-412f38d58205'

const db = useDatabase()

/** Filled by the original's own functions; then the errors are planted. */
const theirs = useOpsCenter(`
  insert into organizations (id, name, stripe_customer_id) values ('${LOOPNET}', 'loopnet', 'cus_1'), ('${OVER}', 'over', null);
  insert into organization_members (org_id, user_id, role) values
    ('${LOOPNET}', 'alice', 'owner'), ('${LOOPNET}', 'bob', 'member'), ('${LOOPNET}', '${CAROL}', 'billing_admin'), ('${OVER}', 'olga', 'owner');
  insert into organization_subscriptions (org_id, subscription_plan, monthly_price) values ('${LOOPNET}', 'platform', 50), ('${OVER}', 'byok', 30);
  insert into org_billing_history (org_id, subscription_id, event_type, amount, payment_status)
    select org_id, id, 'subscription_created', monthly_price, 'paid' from organization_subscriptions where org_id = '${LOOPNET}';
  select add_credits_to_pool('${LOOPNET}', 10000, 10.00), add_credits_to_pool('${OVER}', 500, 0.50);
  select allocate_credits_to_user('${LOOPNET}', 'alice', 1000, 'ops'), allocate_credits_to_user('${LOOPNET}', 'bob', 500, 'ops'),
    allocate_credits_to_user('${LOOPNET}', '${CAROL}', 300), allocate_credits_to_user('${OVER}', 'olga', 400);
  update user_credit_allocations set next_reset_date = now() - interval '40 days' where user_id = 'alice';
  update user_credit_allocations set is_active = false where user_id = '${CAROL}';
  select deduct_credits('${LOOPNET}', 'alice', 50, 'company_enrichment', 'loopnet', 'req_1', '{"company_id": "c1"}');
  select deduct_credits('${LOOPNET}', 'alice', 10, 'contact_lookup');
  select deduct_credits('${LOOPNET}', 'bob', 100, 'bulk_export', 'loopnet', 'req_bulk_1');
  insert into user_credits values ('alice', 4.991, 'free');

  select deduct_credits('${LOOPNET}', 'alice', 50, 'company_enrichment', 'loopnet', 'req_1', '{"company_id": "c1"}');
  update user_credit_allocations set allocated_credits = 700 where user_id = 'olga';
  delete from organization_members where user_id = 'bob';
  alter table organization_subscriptions drop constraint organization_subscriptions_org_id_fkey;
  insert into organization_subscriptions (id, org_id, subscription_plan, status) values ('${ORPHAN}', '${NOBODY}', 'hybrid', 'canceled');
  insert into platform_settings (key, value, category, is_secret) values ('openai_api_key', '${ONE.token}', 'api_keys', true),
    ('groq_api_key', '${FERNET.tokenOfOther}', 'api_keys', true), ('theme', 'dark', 'ui', false);
  insert into user_provider_keys (user_id, provider, api_key_encrypted, enabled) values
    ('alice', 'openai', '${TWO.token}', true), ('${CAROL}', 'google', '${ONE.token}', false);
`)

async function moved(from: string, ...flags: string[]): Promise<{ code: number | null; report: MoveReport }> {
  const args = ['migrate-from', 'ops-center', '--database', from, '--json', ...flags]
  const env = { ENCRYPTION_KEY: FERNET.encryptionKey }
  const { code, stdout, stderr } = await runCommand({ args, databaseUrl: db.url, env })
  expect(stderr).toBe('')
  return { code, report: JSON.parse(stdout) as MoveReport }
}

const brief = ({ findings }: MoveReport) =>
  findings
    .map(({ kind, code, table, row, organization, user, credits }) =>
      [
        kind,
        code,
        table,
        /^[0-9a-f-]{36}$/.test(row ?? '') && row !== ORPHAN ? 'id' : row,
        organization,
        user,
        credits,
      ].join(' '),
    )
    .sort((one, other) => (one < other ? -1 : 1))

async function ours(): Promise<unknown> {
  const tables = ['organizations', 'organization_members', 'organization_subscriptions', 'organization_credit_pools']
  const more = ['user_credit_allocations', 'credit_usage_attribution', 'org_billing_history', 'tollgate.ledger_journal']
  const keys = ['platform_settings', 'user_provider_keys', 'tollgate.audit_log']
  return Promise.all(
    [...tables, ...more, ...keys].map(
      async (table) => (await db.pool.query(`select t::text from ${table} t order by 1`)).rows,
    ),
  )
}

const POOLS = `select o.name, p.total_credits::text, p.allocated_credits::text, p.used_credits::text, p.available_credits::text
  from organization_credit_pools p join organizations o on o.id = p.org_id where o.name = 'loopnet'`
const ALLOCATIONS = `select o.name, a.user_id, a.allocated_credits::text, a.used_credits::text, a.remaining_credits::text, a.is_active
  from user_credit_allocations a join organizations o on o.id = a.org_id where o.name = 'loopnet' order by a.user_id`

/** Without the zeros behind the point, which only ours have. */
function plain(rows: readonly object[]): unknown[] {
  const trim = (value: unknown) =>
    typeof value === 'string' && /^-?\d+\.\d+$/.test(value) ? value.replace(/\.?0+$/, '') : value
  return rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, trim(value)])))
}

const PLANTED = [
  `difference allocation_without_member user_credit_allocations id ${LOOPNET} bob `,
  `difference double_debit credit_usage_attribution id ${LOOPNET} alice 50`,
  `difference pool_allocated_differs organization_credit_pools id ${OVER}  -300`,
  `difference use_without_member credit_usage_attribution id ${LOOPNET} bob 100`,
  `left allocations_above_pool organization_credit_pools id ${OVER}  200`,
  `left orphan organization_subscriptions ${ORPHAN} ${NOBODY}  `,
  'left unreadable_key platform_settings groq_api_key   ',
]

describe('A database that its own functions filled', { timeout: 60_000 }, () => {
  let before: unknown
  beforeAll(async () => {
    before = await theirs.everything()
  })

  test('The dry run names each planted error and writes nothing.', async () => {
    const empty = await ours()
    const { code, report } = await moved(theirs.url, '--dry-run')
    expect(code).toBe(1)
    expect(brief(report)).toEqual(PLANTED)
    expect(report.double_debits).toEqual([
      { organization: LOOPNET, user: null, rows: 1, credits: '50' },
      { organization: LOOPNET, user: 'alice', rows: 1, credits: '50' },
    ])
    expect(report.carried).toEqual({
      organizations: 1,
      organization_members: 2,
      organization_subscriptions: 1,
      organization_credit_pools: 1,
      user_credit_allocations: 3,
      credit_usage_attribution: 4,
      org_billing_history: 1,
      provider_keys: 3,
    })
    expect(report.tables_left.map(({ table, rows }) => [table, rows])).toEqual([['user_credits', 1]])
    expect(await ours()).toEqual(empty)
  })

  test('On a terminal the dry run is tables that say what stands against each row.', async () => {
    const args = ['migrate-from', 'ops-center', '--database', theirs.url, '--dry-run']
    const { code, stdout } = await runCommand({ args, databaseUrl: db.url })
    expect(code).toBe(1)
    expect(stdout).toMatch(/^Nothing was written\. Ops-Center: unicorn_/)
    expect(stdout).toContain('Request req_1 was deducted again')
    expect(stdout).toContain(
      'Its allocations hand out 200 credits more than the pool has. Buy credits or take some back there',
    )
    // Without ENCRYPTION_KEY no key opens.
    expect(stdout).toContain('platform/openai_api_key does not open: it is a Fernet token; set ENCRYPTION_KEY')
    expect(stdout).toContain('user_credits  1     balances of individuals are dollars counted as credits')
  })

  test('Moved, balances are equal, keys open, and what was planted is named again; a second run changes nothing.', async () => {
    const { code, report } = await moved(theirs.url)
    expect([code, brief(report)]).toEqual([1, PLANTED])
    expect(plain((await db.pool.query(POOLS)).rows)).toEqual(await theirs.query(POOLS))
    expect(plain((await db.pool.query(ALLOCATIONS)).rows)).toEqual(await theirs.query(ALLOCATIONS))
    const dates = await db.pool.query<{ future: boolean }>(
      "select next_reset_date > now() as future from user_credit_allocations where user_id = 'alice'",
    )
    expect(dates.rows).toEqual([{ future: true }])

    const vault = await openTestVault(db, { roots: [rawRoot(Buffer.from(ROOT_KEY, 'base64'))] })
    expect(await vault.find('openai', { kind: 'platform' })).toBe(ONE.text)
    expect(await vault.find('openai', { kind: 'user', id: `${LOOPNET}/alice` })).toBe(TWO.text)
    expect(await vault.list({ kind: 'user', id: CAROL })).toMatchObject([
      { provider: 'gemini', enabled: false, problem: null },
    ])
    await vault.close()

    const once = await ours()
    const again = await moved(theirs.url)
    expect(again.report.already_here).toEqual({ organizations: 1, keys: 3 })
    expect(Object.values(again.report.carried)).toEqual([0, 0, 0, 0, 0, 0, 0, 0])
    expect(await ours()).toEqual(once)
    expect(await theirs.everything()).toEqual(before)
  })

  test('LoopNet’s statements S1 to S8 work as before.', async () => {
    const one = async (statement: string, values: unknown[]) =>
      Object.values((await db.pool.query<Record<string, unknown>>(statement, values)).rows[0] ?? {})[0]
    const left = (user: string) =>
      one(
        'select remaining_credits::text from user_credit_allocations where org_id=$1 and user_id=$2 and is_active=TRUE',
        [LOOPNET, user],
      )
    expect(await one('SELECT has_sufficient_credits($1,$2,$3)', [LOOPNET, 'alice', 890])).toBe(true)
    expect(await one('SELECT has_sufficient_credits($1,$2,$3)', [LOOPNET, 'alice', 891])).toBe(false)
    expect(await left('alice')).toBe('890.000000')
    const metadata = JSON.stringify({ company_id: 'c2' })
    const deduct = [LOOPNET, 'alice', 50, 'company_enrichment', 'loopnet', 'req_2', metadata]
    expect(await one('SELECT deduct_credits($1,$2,$3,$4,$5,$6,$7)', deduct)).toBe(true)
    expect(await one('SELECT deduct_credits($1,$2,$3,$4,$5,$6,$7::jsonb)', deduct.with(5, 'req_3'))).toBe(true)
    expect(await one('SELECT deduct_credits($1,$2,$3,$4)', [LOOPNET, 'alice', 5, 'property_search'])).toBe(true)
    expect(
      await one(
        "SELECT deduct_credits(p_org_id := $1, p_user_id := $2, p_credits_used := $3, p_service_type := 'valuation')",
        [LOOPNET, 'bob', 75],
      ),
    ).toBe(true)
    expect([await left('alice'), await left('bob'), await left(CAROL)]).toEqual(['785.000000', '325.000000', undefined])
    expect(await one('SELECT 1 FROM organization_members WHERE org_id=$1 AND user_id=$2', [LOOPNET, 'alice'])).toBe(1)
    const recent = await db.pool.query(
      "select request_metadata->>'company_id' as company, credits_used::text from credit_usage_attribution where org_id = $1 and request_metadata is not null order by created_at, request_id",
      [LOOPNET],
    )
    expect(plain(recent.rows)).toEqual([
      { company: 'c1', credits_used: '50' },
      { company: 'c1', credits_used: '50' },
      { company: 'c2', credits_used: '50' },
      { company: 'c2', credits_used: '50' },
    ])
    expect(await one('SELECT add_credits_to_pool($1,$2)', [LOOPNET, 1000])).toBe(true)
    expect(await one('SELECT allocate_credits_to_user($1,$2,$3)', [LOOPNET, 'alice', 100])).toBe(true)
    expect(await left('alice')).toBe('885.000000')
    const short = await refusal(db.pool.query('SELECT deduct_credits($1,$2,$3,$4)', [LOOPNET, 'alice', 886, 'x']))
    expect([short.code, short.message]).toEqual(['P0001', 'Insufficient credits: 885 available, 886 needed'])
    const ended = await refusal(db.pool.query('SELECT deduct_credits($1,$2,$3,$4)', [LOOPNET, CAROL, 1, 'x']))
    expect(ended.message).toBe(`No credit allocation found for user ${CAROL} in org ${LOOPNET}`)
  })

  test('A double debit is refunded by the call id that the report names.', async () => {
    const { rows } = await db.pool.query<{ call_id: string }>(
      "select call_id from credit_usage_attribution where request_id = 'req_1' order by created_at desc limit 1",
    )
    const refunded = await db.pool.query(
      "select outcome, trim_scale(refunded) as refunded from tollgate.ledger_refund_call($1, null, 'root', 'deducted twice in Ops-Center')",
      [rows[0]?.call_id],
    )
    expect(refunded.rows).toEqual([{ outcome: 'refunded', refunded: '50' }])
  })

  test('An organization that hands out more than it has comes along with --cover-shortage: its pool has as much more.', async () => {
    const { report } = await moved(theirs.url, '--cover-shortage')
    expect(report.balances).toEqual([
      {
        organization: OVER,
        id: OVER,
        name: 'over',
        there: { total: '500', allocated: '400', used: '0', available: '100' },
        here: { total: '700', allocated: '700', used: '0', available: '0' },
      },
    ])
    const { rows } = await db.pool.query(
      "select trim_scale(remaining_credits) as remaining from user_credit_allocations where user_id = 'olga'",
    )
    expect(rows).toEqual([{ remaining: '700' }])
  })
})

describe('A database that drifted', { timeout: 60_000 }, () => {
  const drifted = useOpsCenter(
    `
    insert into organizations (id, name, status) values ('org_leads', 'leads', 'archived'), ('org_nameless', null, 'active');
    insert into organization_members (id, org_id, user_id, role) values
      ('m1', 'org_leads', 'dora', 'ADMIN'), ('m2', 'org_leads', null, 'member'), ('m3', 'org_leads', 'emil', 'chief');
    insert into organization_subscriptions (id, org_id, subscription_plan, status) values
      ('s1', 'org_leads', 'professional', 'active'), ('s2', 'org_leads', 'hybrid', 'asleep'), ('s3', 'org_leads', 'hybrid', 'canceled');
    insert into organization_credit_pools (id, org_id, total_credits, allocated_credits, used_credits) values
      ('p1', 'org_leads', 1000, 500.5, 40.1234567), ('p2', 'org_nameless', null, 0, 0);
    insert into user_credit_allocations (id, org_id, user_id, allocated_credits, used_credits, reset_period) values
      ('a1', 'org_leads', 'dora', 300.5, 30, 'monthly'), ('a2', 'org_leads', 'emil', 200, null, 'hourly');
    insert into credit_usage_attribution (id, org_id, user_id, credits_used, service_type, request_id) values
      ('u1', 'org_leads', 'dora', 20, 'valuation', 'r1'), ('u2', 'org_leads', 'emil', 5, 'valuation', 'r2'),
      ('u3', 'org_leads', 'dora', -2, 'refund', null), ('u4', 'org_leads', 'gone', 7, 'valuation', null);
    insert into org_billing_history (id, org_id, event_type, payment_status) values
      ('h1', 'org_leads', 'credits_purchased', 'paid'), ('h2', 'org_leads', 'gift', null), ('h3', 'org_leads', 'invoice_paid', 'settled');
  `,
    { drifted: true },
  )

  test('Each odd value is named by its row; what can be spent is the same.', async () => {
    const { code, report } = await moved(drifted.url)
    expect(code).toBe(1)
    expect(brief(report)).toEqual([
      'changed fractional_credits organization_credit_pools p1 org_leads  40.123457',
      'changed fractional_credits organization_credit_pools p1 org_leads  500.5',
      'changed fractional_credits user_credit_allocations a1 org_leads dora 300.5',
      'changed id_is_no_uuid organizations org_leads org_leads  ',
      'changed id_is_no_uuid organizations org_nameless org_nameless  ',
      'changed missing_value organization_credit_pools p2 org_nameless  ',
      'changed missing_value user_credit_allocations a2 org_leads emil ',
      'changed no_name organizations org_nameless org_nameless  ',
      'changed unknown_value org_billing_history h3 org_leads  ',
      'changed unknown_value organization_members m3 org_leads emil ',
      'changed unknown_value organizations org_leads org_leads  ',
      'changed unknown_value user_credit_allocations a2 org_leads emil ',
      'difference negative_use credit_usage_attribution u3 org_leads dora -2',
      'difference pool_allocated_differs organization_credit_pools p1 org_leads  -7',
      'difference pool_used_differs organization_credit_pools p1 org_leads  3.123457',
      'difference rows_without_use user_credit_allocations a2 org_leads emil 5',
      'difference use_without_allocation credit_usage_attribution u4 org_leads gone ',
      'difference use_without_member credit_usage_attribution u4 org_leads gone 7',
      'difference use_without_rows user_credit_allocations a1 org_leads dora 12',
      'left no_user organization_members m2 org_leads  ',
      'left unknown_value org_billing_history h2 org_leads  ',
      'left unknown_value organization_subscriptions s1 org_leads  ',
      'left unknown_value organization_subscriptions s2 org_leads  ',
    ])
    const id = report.balances.find(({ name }) => name === 'leads')?.id
    const { rows } = await db.pool.query(
      'select user_id, allocated_credits::text, used_credits::text, remaining_credits::text, is_active from user_credit_allocations where org_id = $1 order by 1',
      [id],
    )
    expect(plain(rows)).toEqual([
      { user_id: 'dora', allocated_credits: '300.5', used_credits: '30', remaining_credits: '270.5', is_active: true },
      { user_id: 'emil', allocated_credits: '200', used_credits: '0', remaining_credits: '200', is_active: true },
      { user_id: 'gone', allocated_credits: '7', used_credits: '7', remaining_credits: '0', is_active: false },
    ])
    expect(report.balances.find(({ name }) => name === 'leads')).toMatchObject({
      there: { total: '1000', allocated: '500.5', used: '40.123457', available: '499.5' },
      // 5 more of each: emil's rows are more than his use, and rows are never taken back.
      here: { total: '1005', allocated: '512.5', used: '42', available: '492.5' },
    })
    const again = await moved(drifted.url)
    expect([again.report.already_here.organizations, again.report.findings]).toEqual([2, []])
  })
})

test('Where no database listens, the command ends with exit code 4 and names the flag to correct.', {
  timeout: 60_000,
}, async () => {
  const args = ['migrate-from', 'ops-center', '--database', 'postgresql://127.0.0.1:1/unicorn_db']
  const ran = await runCommand({ args, databaseUrl: db.url })
  expect([ran.code, ran.stdout]).toEqual([4, ''])
  expect(ran.stderr).toMatch(/^tollgate: The database of --database can't be used: .*ECONNREFUSED/)
})

test("Tollgate's own database is not taken for Ops-Center's.", async () => {
  await expect(openSource(db.url)).rejects.toThrow("it is a database of Tollgate's, not Ops-Center's")
})
