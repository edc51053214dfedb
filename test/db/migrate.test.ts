import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import { type Migration, migrate, readMigrations, SchemaTooNewError } from '../../src/db/migrate.ts'
import { urlOfDatabase } from '../support/global-database.ts'

const server = inject('databaseServer').url
const names = [
  'organizations',
  'billing',
  'ledger',
  'ledger-operations',
  'ledger-audit',
  'public-functions',
  'identity',
  'ledger-batches',
  'ledger-hold',
  'ledger-progress',
  'ledger-close',
  'ledger-recovery',
  'ledger-audit-limits',
  'public-functions-by-the-gate',
  'provider-keys',
]
let url = ''
let name = ''

beforeEach(async () => {
  name = `migrate_${randomUUID().replaceAll('-', '')}`
  url = urlOfDatabase(server, name)
  await query(server, `create database ${name}`)
})
afterEach(() => query(server, `drop database ${name} with (force)`))

async function query(where: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: where })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows
  } finally {
    await client.end()
  }
}

const applied = () => query(url, 'select id, name, breaking from tollgate_migrations order by id')
const extra = (changes: Partial<Migration>): Migration => ({
  id: 999_999,
  name: 'from-the-future',
  breaking: false,
  sql: 'create table future (id integer)',
  ...changes,
})

test('an empty database gets every migration, in order, and then none', async () => {
  const migrations = await readMigrations()
  expect(migrations.map((migration) => migration.id)).toEqual(migrations.map((_, index) => index + 1))
  expect(migrations.map((migration) => migration.name).slice(0, names.length)).toEqual(names)
  expect(await migrate(url)).toEqual(migrations.map((migration) => migration.name))
  expect(await migrate(url)).toEqual([])
  expect(await applied()).toEqual(migrations.map(({ id, name, breaking }) => ({ id, name, breaking })))
  expect(await query(url, 'select * from tollgate.ledger_audit()')).toEqual([])
})

test('several processes at once: each migration is applied by one of them, and all succeed', async () => {
  const migrations = await readMigrations()
  const program = `import { migrate } from ${JSON.stringify(fileURLToPath(new URL('../../src/db/migrate.ts', import.meta.url)))}
    console.log(JSON.stringify(await migrate(process.argv[1])))`
  const run = () => promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program, url])
  const outputs = await Promise.all(Array.from({ length: 4 }, run))
  const answers = outputs.map(({ stdout }): string[] => JSON.parse(stdout))
  expect(answers.flat()).toEqual(migrations.map((migration) => migration.name))
  expect((await applied()).length).toBe(migrations.length)
  expect(await query(url, 'select count(*) from tollgate.ledger_identity')).toEqual([{ count: '1' }])
})

test('two databases of a server at once: the role they share is made once', async () => {
  const other = `${name}_other`
  await query(server, `create database ${other}`)
  try {
    await Promise.all([migrate(url), migrate(urlOfDatabase(server, other))])
    expect(await query(server, "select count(*) from pg_roles where rolname = 'tollgate_caller'")).toEqual([
      { count: '1' },
    ])
  } finally {
    await query(server, `drop database ${other} with (force)`)
  }
})

test('an older program refuses a schema that it does not understand, and names what it lacks', async () => {
  const known = await readMigrations()
  await migrate(url, [...known, extra({ breaking: true })])
  const error = await migrate(url, known).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(SchemaTooNewError)
  expect(error).toMatchObject({
    message:
      'The database was migrated by a newer Tollgate (999999-from-the-future) in a way this version does not understand. ' +
      'Start that newer version instead.',
  })
})

test('an older program works with a newer schema that breaks nothing', async () => {
  const known = await readMigrations()
  await migrate(url, [...known, extra({})])
  expect(await migrate(url, known)).toEqual([])
})

test('a migration an older program left out is applied, though a newer one is there', async () => {
  const known = await readMigrations()
  const late = extra({ id: 999_998, name: 'late', sql: 'create table late (id integer)' })
  await migrate(url, [...known, extra({})])
  expect(await migrate(url, [...known, late, extra({})])).toEqual(['late'])
})

test('a migration that fails is rolled back as a whole, and those before it stay', async () => {
  const known = await readMigrations()
  const broken = extra({
    name: 'broken',
    sql: 'create table half (id integer); select 1 / 0; create table rest (id integer)',
  })
  await expect(migrate(url, [...known, broken])).rejects.toThrow(
    'Migration 999999-broken failed and was rolled back: division by zero',
  )
  expect(
    await query(url, "select to_regclass('half') as half, to_regclass('organizations')::text as organizations"),
  ).toEqual([{ half: null, organizations: 'organizations' }])
  expect((await applied()).length).toBe(known.length)
  expect(await migrate(url, [...known, extra({ name: 'mended' })])).toEqual(['mended'])
})
