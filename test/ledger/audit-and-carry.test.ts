/** An audit writes down what it found, and the next one starts from there: it must find all that a whole audit finds in what came since. */
import { expect, test, vi } from 'vitest'
import { audit } from '../../src/ledger/audit.ts'
import { auditAndCarry, type CarryingReport } from '../../src/ledger/audit-and-carry.ts'
import { close, hold, type Limit } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'
import { runCommand } from '../support/run-tollgate.ts'

vi.setConfig({ testTimeout: 120_000 })
const db = useDatabase()
const since = (): Promise<CarryingReport> => auditAndCarry(db.database, { sinceLast: true })
const whole = (): Promise<CarryingReport> => auditAndCarry(db.database, { sinceLast: false })

interface Books {
  orgId: string
  limits: Limit[]
}

/** On the first day a charge of 30 and one of 5 that was released, on limits of credits and of calls; one call that runs. */
async function twoDays(): Promise<Books & { early: string; released: string; running: string }> {
  await db.setNow('2031-05-01T12:00:00Z')
  const { id: orgId } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const limits: Limit[] = [
    { kind: 'team', id: orgId, limit_amount: 400 },
    { kind: 'quota', id: orgId, unit: 'calls', limit_amount: 10 },
  ]
  const take = async (output: number) => (await hold(db.pool, orgId, { output, limits })).callId
  const [early, released, running] = [await take(50), await take(5), await take(20)]
  await close(db.pool, orgId, early, 30)
  await close(db.pool, orgId, released, null)
  await db.setNow('2031-05-02T12:00:00Z')
  return { orgId, limits, early, released, running }
}

/** What somebody does to the books without the ledger, seen by an audit and undone. */
async function tampered(statements: readonly string[], look: () => Promise<CarryingReport>): Promise<string[]> {
  const client = await db.pool.connect()
  const undo: string[] = []
  try {
    await client.query('set session_replication_role = replica')
    for (const statement of statements) expect((await client.query(statement)).rowCount, statement).toBe(1)
    undo.push(...statements.map((statement) => statement.replace(/(\w+) = \1 \+ (\d+)/, '$1 = $1 - $2')))
    return (await look()).findings.map(({ finding }) => finding)
  } finally {
    for (const statement of undo) await client.query(statement)
    client.release(true)
  }
}

test('An audit carries the sums of the days that ended, and the next one starts there: clean, with what ended since.', async () => {
  const { orgId, limits, running } = await twoDays()
  const first = await whole()
  expect(first).toMatchObject({
    findings: [],
    since: null,
    carried: { until: '2031-05-02T00:00:00Z', digest: expect.stringMatching(/^[0-9a-f]{64}$/) },
  })
  const { rows } = await db.pool.query(
    'select user_id, trim_scale(credits)::text as credits from tollgate.ledger_carried_users where org_id = $1',
    [orgId],
  )
  expect(rows).toEqual([{ user_id: 'alice', credits: '30' }])
  const used = await db.pool.query(
    'select kind, trim_scale(used)::text as used from tollgate.ledger_carried_limits where id = $1 order by kind',
    [orgId],
  )
  expect(used.rows).toEqual([
    { kind: 'quota', used: '1' },
    { kind: 'team', used: '30' },
  ])

  await close(db.pool, orgId, running, 11)
  await close(db.pool, orgId, (await hold(db.pool, orgId, { output: 9, limits })).callId, 7)
  const next = await since()
  expect(next).toMatchObject({ charges: first.charges + 2, findings: [], since: first.carried, carried: first.carried })
  expect(await audit(db.database)).toMatchObject({ charges: next.charges, findings: [] })

  await db.setNow('2031-05-03T12:00:00Z')
  const later = await since()
  expect(later).toMatchObject({ findings: [], since: first.carried, carried: { until: '2031-05-03T00:00:00Z' } })
  // Carried forward day by day, and all at once: the same sums.
  const sums =
    'select user_id, credits from tollgate.ledger_carried_users where carry_id = (select max(id) from tollgate.ledger_carries) order by 1, 2'
  const forward = (await db.pool.query(sums)).rows
  expect((await whole()).findings).toEqual([])
  expect((await db.pool.query(sums)).rows).toEqual(forward)
})

test('A correction of a call that ended before the sums is counted once, on its limits too.', async () => {
  const { orgId, early, released } = await twoDays()
  await db.pool.query("update tollgate.ledger_holds set state = 'recovered' where call_id = $1", [early])
  expect(await whole()).toMatchObject({ findings: [], carried: { until: '2031-05-02T00:00:00Z' } })
  await close(db.pool, orgId, early, 33)
  await close(db.pool, orgId, released, 4)
  expect(await since()).toMatchObject({ findings: [], since: { until: '2031-05-02T00:00:00Z' } })
  await db.setNow('2031-05-03T12:00:00Z')
  expect(await since()).toMatchObject({ findings: [], carried: { until: '2031-05-03T00:00:00Z' } })
  expect(await since()).toMatchObject({ findings: [], since: { until: '2031-05-03T00:00:00Z' } })
})

test('A call that was corrected before the sums and again after them counts on its limits with what is new.', async () => {
  const { orgId, early } = await twoDays()
  await db.pool.query("update tollgate.ledger_holds set state = 'recovered' where call_id = $1", [early])
  await close(db.pool, orgId, early, 36, 'alice', 'disputed')
  await db.setNow('2031-05-03T12:00:00Z')
  expect(await whole()).toMatchObject({ findings: [], carried: { until: '2031-05-03T00:00:00Z' } })
  await db.pool.query('select tollgate.ledger_settle_dispute($1, 39, 0, $2)', [early, 'test'])
  expect(await since()).toMatchObject({ findings: [], since: { until: '2031-05-03T00:00:00Z' } })
})

test('What is changed since is found; so are sums that are changed, by their digest, and by the whole audit though the digest was made anew.', async () => {
  const { orgId, running } = await twoDays()
  await whole()
  await close(db.pool, orgId, running, 11)
  const ofOrganization = `org_id = '${orgId}'`
  const found = (...statements: string[]) => tampered(statements, since)
  expect(
    await found(`update organization_credit_pools set used_credits = used_credits + 1 where ${ofOrganization}`),
  ).toEqual([
    'pool.used_credits is not the sum of the charges',
    'pool.allocated - used is not the sum of what users have left',
  ])
  expect(
    await found(`update tollgate.ledger_limits set used = used + 2 where kind = 'team' and id = '${orgId}'`),
  ).toEqual(['limit.used is not the sum of the charges'])
  expect(
    await found(`update tollgate.ledger_holds set charged_credits = charged_credits + 1 where call_id = '${running}'`),
  ).toEqual(['limit.used is not the sum of the charges', 'a closed hold is not charged what its rows say'])
  const last = '(select max(id) from tollgate.ledger_carries)'
  const carried = `update tollgate.ledger_carried_users set credits = credits + 5 where ${ofOrganization} and carry_id = ${last}`
  expect(await found(carried)).toContain('sums that are carried were changed since the audit that made them')
  const forge = `update tollgate.ledger_carries k set digest = tollgate.ledger_carry_digest(id, cut_at, charges, previous) where id = ${last}`
  // With a digest made anew the next audit has no way to tell by it; the whole one adds up the charges.
  expect(await tampered([carried, forge], whole)).toContain(
    'what is carried of a user is not the sum of the charges before',
  )
  expect((await since()).findings).toEqual([])
})

test('audit --since-last says from where it read and how the next one goes on; --expect holds it to a digest that was kept.', async () => {
  const { orgId, running } = await twoDays()
  const run = (...args: string[]) => runCommand({ args: ['audit', ...args], databaseUrl: db.url })
  const { code, stderr } = await run()
  const [, digest = ''] = /--since-last starts from 2031-05-02T00:00:00Z, digest ([0-9a-f]{64})/.exec(stderr) ?? []
  expect([code, digest]).toEqual([0, expect.stringMatching(/./)])
  await close(db.pool, orgId, running, 11)
  const next = await run('--since-last', '--expect', digest)
  expect(next.stderr).toContain(
    `Rows were read from 2031-05-02T00:00:00Z on; what came before is in the sums with the digest ${digest}.`,
  )
  expect(next.code).toBe(0)
  const other = await run('--since-last', '--expect', 'f'.repeat(64))
  expect([other.code, other.stdout]).toEqual([1, ''])
  expect(other.stderr).toContain(`have the digest ${digest}, not ffff`)
})
