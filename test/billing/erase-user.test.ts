/** A person's data is erased: the id stands nowhere any more, every sum is what it was, and nobody else is touched. */
import { createHash, randomUUID } from 'node:crypto'
import { expect, test, vi } from 'vitest'
import { auditAndCarry } from '../../src/ledger/audit-and-carry.ts'
import { balances, close, hold, refusal } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'
import { runCommand } from '../support/run-tollgate.ts'

vi.setConfig({ testTimeout: 120_000 })
const db = useDatabase()
const ZOE = 'zoe.q@example.com'
/** Whose id begins with hers. */
const OTHER = 'zoe.q@example.com.au'

/** Where a text stands in the database: table by table, and how many rows have it. */
async function found(text: string): Promise<Record<string, number>> {
  const { rows: tables } = await db.pool.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('public', 'tollgate') order by 1`,
  )
  const counts: Record<string, number> = {}
  for (const { name } of tables) {
    const { rows } = await db.pool.query<{ n: number }>(
      `select count(*)::int as n from ${name} t where position($1 in t::text) > 0`,
      [text],
    )
    if (rows[0]!.n > 0) counts[name] = rows[0]!.n
  }
  return counts
}

async function call(orgId: string, user: string, charge: number): Promise<string> {
  const limits = [
    { kind: 'quota', id: `${orgId}/${user}/day`, window: 'day' as const, unit: 'calls' as const, limit_amount: 10 },
    {
      kind: 'quota',
      id: `${orgId}/sha256:${createHash('sha256').update(user).digest('hex')}/month`,
      window: 'month' as const,
      unit: 'calls' as const,
      limit_amount: 99,
    },
  ]
  const { callId } = await hold(db.pool, orgId, { output: 20, limits, user })
  await close(db.pool, orgId, callId, charge, user)
  return callId
}

/** The person in every place where an id of a person is kept. */
async function everywhere(): Promise<{ orgId: string; name: string }> {
  const {
    id: orgId,
    name,
    keyIds,
  } = await db.seedOrganization({ credits: 1_000, users: { owner: 100, [ZOE]: 200, [OTHER]: 200 } })
  for (const user of [ZOE, OTHER]) {
    await call(orgId, user, 7)
    const put = (statement: string) => db.pool.query(statement.replaceAll('$2', '$2::text'), [orgId, user])
    await put(
      "select deduct_credits($1, $2::varchar, 5, 'valuation', 'v', 'of ' || $2::text, jsonb_build_object('who', $2::text))",
    )
    await put('select allocate_credits_to_user($1, $2, 3, $2)')
    await put(
      "insert into tollgate.idempotency_keys (org_id, user_id, key, body_hash, call_id) values ($1, $2, 'k', '', gen_random_uuid())",
    )
    await put("insert into tollgate.kept_responses (org_id, user_id, id, kept) values ($1, $2, 'r', 'text of ' || $2)")
    await put(
      "insert into tollgate.runs (id, chain, org_id, user_id, name, expires_at) values (gen_random_uuid(), '{}', $1, $2, 'run of ' || $2, now())",
    )
    await put(
      "insert into tollgate.payments (id, org_id, user_id, amount, credits) values ('p-' || md5($2), $1, $2, 1, 10)",
    )
    await put(
      "insert into tollgate.spenders (org_id, kind, name, user_id, settings) values ($1, 'user', $2, $2, jsonb_build_object('mail', $2::text))",
    )
    await put(
      "insert into tollgate.invitations (org_id, token_hash, email, invited_by, accepted_by, expires_at) values ($1, sha256(convert_to(gen_random_uuid()::text, 'UTF8')), $2, 'owner', $2, now())",
    )
    await put(
      "insert into tollgate.outbox_events (type, org_id, user_id, data, once_key) values ('x', $1, $2, jsonb_build_object('user', $2::text, 'subject', 'user/' || $2 || '/openai'), 'once/' || $2)",
    )
    await db.pool.query("insert into tollgate.change_keys (actor, key, request_hash) values ($1, 'k', '')", [
      `${orgId}/${user}`,
    ])
    await db.pool.query(
      "insert into tollgate.sessions (token_hash, data, expires_at) values (sha256(convert_to($1, 'UTF8')), jsonb_build_object('user', jsonb_build_object('sub', $1::text)), now() + interval '1 day')",
      [user],
    )
    await db.pool.query(
      "insert into user_provider_keys (user_id, provider, api_key_encrypted) values ($1, 'openai', 'sealed')",
      [`${orgId}/${user}`],
    )
    await db.pool.query(
      "insert into tollgate.audit_log (action, subject, actor, ip) values ('key.saved', 'user/' || $1 || '/openai', $2, '10.0.0.1')",
      [`${orgId}/${user}`, user],
    )
  }
  expect(Object.keys(keyIds)).toHaveLength(3)
  return { orgId, name }
}

test('The id of an erased user stands nowhere any more; balances, sums and audit are as before, and a user with a similar id is untouched.', async () => {
  await db.setNow('2031-05-02T12:00:00Z')
  const { orgId, name } = await everywhere()
  await db.setNow('2031-05-03T12:00:00Z')
  expect((await auditAndCarry(db.database, { sinceLast: false })).findings).toEqual([])
  expect(Object.keys(await found(ZOE))).toHaveLength(21)
  const [before, others] = [await balances(db.pool, orgId), await found(OTHER)]
  const sums = async () =>
    (
      await db.pool.query(
        'select day, model, sum(calls) as calls, sum(credits) as credits from tollgate.usage_by_user where org_id = $1 group by 1, 2 order by 1, 2',
        [orgId],
      )
    ).rows
  const byDay = await sums()

  const { code, stdout, stderr } = await runCommand({
    args: ['erase-user', '--user', ZOE, '--org', name],
    databaseUrl: db.url,
  })
  expect([code, stderr]).toEqual([0, ''])
  const { pseudonym, rows } = JSON.parse(stdout)
  expect(pseudonym).toMatch(/^erased-[0-9a-f-]{36}$/)
  expect(rows).toMatchObject({
    credit_usage_attribution: 2,
    ledger_holds: 2,
    organization_members: 1,
    sessions: 1,
    ledger_limits: 2,
  })
  // Rows that name her only as the beginning of the other id are still there; nothing else.
  const carries = ['tollgate.ledger_carried_users', 'tollgate.ledger_carried_limits']
  const left = Object.fromEntries(Object.entries(others).filter(([table]) => !carries.includes(table)))
  expect(await found(ZOE)).toEqual(left)
  expect(await found(OTHER)).toEqual(left)
  expect(await found(createHash('sha256').update(ZOE).digest('hex'))).toEqual({})

  const after = await balances(db.pool, orgId)
  expect(after.pool).toEqual(before.pool)
  expect(after.users).toEqual({
    owner: before.users.owner,
    [OTHER]: before.users[OTHER],
    [pseudonym]: before.users[ZOE],
  })
  expect(await sums()).toEqual(byDay)
  expect((await auditAndCarry(db.database, { sinceLast: false })).findings).toEqual([])
  const { rows: mine } = await db.pool.query(
    'select request_id, request_metadata from credit_usage_attribution where user_id = $1',
    [pseudonym],
  )
  expect(mine).toEqual([
    { request_id: null, request_metadata: null },
    { request_id: null, request_metadata: null },
  ])
})

test('A user whose call runs is not erased, nor one that nobody knows, nor one of every organization by an id that is no UUID.', async () => {
  // What a pattern or a document would take for something else.
  const kim = 'kim (dev)+["x"]\\1.'
  const { id: orgId, name } = await db.seedOrganization({ credits: 100, users: { [kim]: 50 } })
  const { callId } = await hold(db.pool, orgId, { output: 5, user: kim })
  const erase = 'select tollgate.erase_user($1, $2, $3) as rows'
  expect((await refusal(db.pool.query(erase, [kim, orgId, 'x']))).message).toContain('Calls of this user are running')
  await close(db.pool, orgId, callId, 2, kim)
  const run = (...args: string[]) => runCommand({ args: ['erase-user', ...args], databaseUrl: db.url })
  expect(await run('--user', kim)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('name the organization with --org'),
  })
  expect(await run('--user', randomUUID())).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('There is no user'),
  })
  expect(await run('--user', kim, '--org', name)).toMatchObject({ code: 0 })
  expect(await found('kim (dev)')).toEqual({})
})
