/** Two roles of the database: one owns the schema and migrates it, one runs the program and owns nothing. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { goodKey } from '../api/keys-product.ts'
import { queryOnce, useEmptyDatabase } from '../support/empty-database.ts'
import { runCommand } from '../support/run-tollgate.ts'
import { configFor, postChat, startTollgate } from '../support/tollgate.ts'
import { startUpstream } from '../support/upstream.ts'

// Processes that start one after the other.
vi.setConfig({ testTimeout: 120_000 })
const db = useEmptyDatabase()

/** A role that is no superuser, gone after the database. */
async function makeRole(kind: string): Promise<{ name: string; url: string }> {
  const name = `${kind}_${db.name}`
  await db.onServer(`create role ${name} login nosuperuser nocreatedb nocreaterole`)
  onTestFinished(() => db.onServer(`drop role ${name}`))
  return { name, url: db.url.replace('//tollgate@', `//${name}@`) }
}

test('The owner migrates; the role of the app starts, serves a call, audits the books, and owns nothing.', async () => {
  const owner = await makeRole('owner')
  const app = await makeRole('app')
  await db.onServer(`alter database ${db.name} owner to ${owner.name}`)
  const run = (url: string, ...args: string[]) => runCommand({ args, databaseUrl: url })

  expect(await run(owner.url, 'migrate')).toMatchObject({ code: 0, stderr: '' })
  await db.onServer(`grant tollgate_app to ${app.name}`)
  expect(await run(app.url, 'migrate', '--check')).toEqual({
    code: 0,
    stdout: 'The schema is up to date.\n',
    stderr: '',
  })

  const organization = await run(app.url, 'org', 'create', '--name', 'acme', '--credits', '1000')
  expect(organization).toMatchObject({ code: 0, stderr: '' })
  const made = await run(app.url, 'key', 'create', '--org', 'acme', '--user', 'alice', '--allocate', '1000')
  expect(made).toMatchObject({ code: 0, stderr: '' })

  const upstream = await startUpstream()
  onTestFinished(() => upstream.close())
  const tollgate = await startTollgate({ databaseUrl: app.url, config: configFor(upstream.url) })
  onTestFinished(() => tollgate.kill())
  const { key }: { key: string } = JSON.parse(made.stdout)
  const body = { model: 'gpt-4o-mini', max_tokens: 10, messages: [{ role: 'user', content: 'Hello' }] }
  expect((await postChat(tollgate, key, body)).status).toBe(200)
  // Keys are changed with their entry in the audit log, which this role can't write itself.
  const own = { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' } }
  const stored = { provider: 'openai', api_key: goodKey('openai') }
  const saved = await fetch(`${tollgate.url}/api/v1/llm/byok/keys`, { ...own, body: JSON.stringify(stored) })
  expect(saved.status).toBe(200)
  expect(await queryOnce(app.url, "select count(*)::int from tollgate.audit_log where action = 'key.saved'")).toEqual([
    { count: 1 },
  ])
  expect(await queryOnce(app.url, 'select tollgate.audit_log_prune(90) as removed')).toEqual([{ removed: '0' }])
  expect(await tollgate.stop()).toBe(0)
  expect((await run(app.url, 'audit')).stdout).toBe('The books are right: 2 organizations, 1 charge, 0 open holds.\n')

  expect(
    await db.query(
      `select from pg_shdepend where refobjid = $1::regrole and deptype = 'o'
        and dbid = (select oid from pg_database where datname = current_database())`,
      [app.name],
    ),
  ).toEqual([])
})

test('The role of the app can change neither schema nor state.', async () => {
  const owner = await makeRole('owner')
  const app = await makeRole('app')
  await db.onServer(`alter database ${db.name} owner to ${owner.name}; grant tollgate_app to ${app.name}`)
  expect(await runCommand({ args: ['migrate'], databaseUrl: owner.url })).toMatchObject({ code: 0 })
  for (const statement of [
    'create table public.mine (id integer)',
    'create table tollgate.mine (id integer)',
    'drop table public.credit_usage_attribution',
    'alter table public.credit_usage_attribution disable trigger user',
    'update tollgate.function_set set number = 0',
    'delete from tollgate.migrations',
    // Who changed which key: neither forged nor removed.
    "insert into tollgate.audit_log (action, subject, actor) values ('key.saved', 'root', 'nobody')",
    "select tollgate.vault_record('key.saved', 'root', null)",
    'delete from tollgate.audit_log',
    'truncate tollgate.audit_log',
    'create or replace function tollgate.tollgate_now() returns timestamptz language sql as $$ select now() $$',
  ]) {
    await expect(queryOnce(app.url, statement), statement).rejects.toMatchObject({ code: '42501' })
  }
})
