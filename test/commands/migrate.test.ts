/** `tollgate migrate`, `migrate --check` and `start --migrate`: what they print, and their exit codes. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { readSchemaFiles } from '../../src/db/schema-files.ts'
import { useEmptyDatabase } from '../support/empty-database.ts'
import { type Ran, runCommand } from '../support/run-tollgate.ts'
import { configFor, startTollgate } from '../support/tollgate.ts'

// Processes that start one after the other.
vi.setConfig({ testTimeout: 120_000 })
const db = useEmptyDatabase()
const tollgate = (...args: string[]): Promise<Ran> => runCommand({ args, databaseUrl: db.url })
const config = configFor('http://127.0.0.1:9/v1')

test('migrate lists what it applied, and then says that the schema is up to date.', async () => {
  const first = await tollgate('migrate')
  expect([first.code, first.stderr]).toEqual([0, ''])
  expect(first.stdout).toMatch(/^Applied migration 000001-organizations\.\n.*Applied functions of \S+\.sql\.\n$/s)
  expect(await tollgate('migrate')).toEqual({ code: 0, stdout: 'The schema is up to date.\n', stderr: '' })
})

test('migrate --check exits with 0, 1 or 4, and changes nothing.', async () => {
  const notOurs = {
    code: 4,
    stdout: '',
    stderr: `tollgate: DATABASE_URL: The database "${db.name}" is not a Tollgate database (yet): run \`tollgate migrate\`.\n`,
  }
  expect(await tollgate('migrate', '--check')).toEqual(notOurs)
  expect(await db.objects()).toEqual([])
  await tollgate('migrate')
  expect(await tollgate('migrate', '--check')).toEqual({ code: 0, stdout: 'The schema is up to date.\n', stderr: '' })

  await db.query(`do $$ begin
    execute replace(pg_get_functiondef('ledger_audit'::regproc), 'select', 'select /* by hand */'); end $$`)
  const changed = await tollgate('migrate', '--check')
  expect(changed.code).toBe(1)
  expect(changed.stdout).toMatch(
    /^To do: functions of \S+ are to be applied\.\nTo do: .*ledger_audit\(\) was changed by hand\.\n$/,
  )
  expect(await tollgate('migrate', '--check')).toEqual(changed)
  const refused = await tollgate('start', '--port', '0')
  expect(refused).toMatchObject({ code: 4, stdout: '' })
  expect(refused.stderr).toMatch(/ledger_audit\(\) was changed by hand\. Run `tollgate migrate`\.\n$/)

  const mended = await tollgate('migrate')
  expect(mended).toMatchObject({ code: 0, stderr: '' })
  expect(mended.stdout).toMatch(/^Put right: \S+ledger_audit\(\) was changed by hand\.\nApplied functions of \S+\.\n$/)
})

test('migrate --check creates no store where there is none.', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-check-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const nowhere = join(folder, 'nowhere')
  const ran = await runCommand({ args: ['migrate', '--check', '--data-dir', nowhere], databaseUrl: '' })
  expect(ran).toEqual({
    code: 4,
    stdout: '',
    stderr: `tollgate: There is no store in ${nowhere}. Name another folder with --data-dir.\n`,
  })
  expect(existsSync(nowhere)).toBe(false)
})

test.each([
  'audit',
  'org create --name acme',
  'key create --org acme --user alice',
  'keys import-fernet',
  'keys rotate',
  'start --port 0',
])('%s writes nothing into a database that is not Tollgate’s, and exits with 4.', async (command) => {
  await db.query('create table notes (text text)')
  const before = await db.objects()
  expect(await tollgate(...command.split(' '))).toEqual({
    code: 4,
    stdout: '',
    stderr: `tollgate: DATABASE_URL: The database "${db.name}" is not a Tollgate database (yet): run \`tollgate migrate\`.\n`,
  })
  expect(await db.objects()).toEqual(before)
})

test.each(['start --port 0', 'start --port 0 --migrate', 'migrate', 'migrate --check', 'audit'])(
  '%s refuses a database of the time before the first release with 4.',
  async (command) => {
    await db.query('create table public.tollgate_migrations (id integer)')
    const ran = await tollgate(...command.split(' '))
    expect(ran).toMatchObject({ code: 4, stdout: '' })
    expect(ran.stderr).toMatch(
      /^tollgate: DATABASE_URL: The database ".*" was made by a Tollgate from before the first release, [^\n]*\n$/,
    )
  },
)

test('start refuses a schema that is too new with 4.', async () => {
  await tollgate('migrate')
  await db.query("insert into tollgate.migrations values (999999, 'from-the-future', true)")
  const ran = await tollgate('start', '--port', '0', '--migrate')
  expect(ran).toMatchObject({ code: 4, stdout: '' })
  expect(ran.stderr).toContain('was migrated by a newer Tollgate (999999-from-the-future)')
})

test('start --migrate brings the schema up to date and starts; two at once both do.', async () => {
  const start = () => startTollgate({ databaseUrl: db.url, config, flags: ['--migrate'] })
  const both = await Promise.all([start(), start()])
  for (const { stop } of both) expect(await stop()).toBe(0)
  const { migrations } = await readSchemaFiles()
  expect(await db.query('select count(*)::int from tollgate.migrations')).toEqual([{ count: migrations.length }])
})
