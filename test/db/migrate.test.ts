/** What `migrate` does to a database: all of it or nothing, once, in order. */
import pg from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { type MigrateReport, migrate } from '../../src/db/migrate.ts'
import { FormerSchemaError, MigrationError, SchemaTooNewError } from '../../src/db/schema-error.ts'
import { type Migration, migrationLabel, readSchemaFiles, type SchemaFiles } from '../../src/db/schema-files.ts'
import { useEmptyDatabase } from '../support/empty-database.ts'
import { urlOfDatabase } from '../support/global-database.ts'
import { runCommand } from '../support/run-tollgate.ts'

const db = useEmptyDatabase()
let files: SchemaFiles
beforeAll(async () => {
  files = await readSchemaFiles()
})

const applied = () => db.query('select id, name, breaking from tollgate.migrations order by id')
const extra = (changes: Partial<Migration>): Migration => ({
  id: 999_999,
  name: 'from-the-future',
  breaking: false,
  sql: 'create table future (id integer)',
  ...changes,
})
const withMigrations = (...migrations: Migration[]): SchemaFiles => ({
  ...files,
  migrations: [...files.migrations, ...migrations],
})
const refusal = (work: Promise<MigrateReport>): Promise<unknown> =>
  work.then(
    () => 'it was not refused',
    (error: unknown) => error,
  )
const nothing = { created: false, migrations: [], functions: [], mended: [], newerSet: null, sameNumber: false }

test('An empty database gets every migration and every function, in order, and then none.', async () => {
  expect(await migrate(db.url)).toEqual({
    ...nothing,
    created: true,
    migrations: files.migrations.map(migrationLabel),
    functions: files.functions.files.map(({ name }) => name),
  })
  expect(await migrate(db.url)).toEqual(nothing)
  expect(await applied()).toEqual(files.migrations.map(({ id, name, breaking }) => ({ id, name, breaking })))
  expect(await db.query('select number, files, program from tollgate.function_set')).toEqual([
    {
      number: files.functions.number,
      files: Object.fromEntries(files.functions.files.map(({ name, hash }) => [name, hash])),
      program: files.program,
    },
  ])
  expect(await db.query('select * from tollgate.ledger_audit()')).toEqual([])
})

test('Of four processes that migrate at once one applies everything, and all succeed.', async () => {
  const run = () => runCommand({ args: ['migrate'], databaseUrl: db.url })
  const ran = await Promise.all(Array.from({ length: 4 }, run))
  expect(ran.map(({ code }) => code)).toEqual([0, 0, 0, 0])
  const idle = ran.filter(({ stdout }) => stdout === 'The schema is up to date.\n')
  expect(idle.length).toBe(3)
  const [busy] = ran.filter((one) => !idle.includes(one))
  expect(busy?.stdout.trimEnd().split('\n')).toEqual([
    ...files.migrations.map((migration) => `Applied migration ${migrationLabel(migration)}.`),
    ...files.functions.files.map(({ name }) => `Applied functions of ${name}.`),
  ])
  expect((await applied()).length).toBe(files.migrations.length)
  expect(await db.query('select * from tollgate.ledger_audit()')).toEqual([])
})

test('Two databases of one server that are migrated at once make the roles they share once.', async () => {
  const other = `${db.name}_other`
  await db.onServer(`create database ${other}`)
  try {
    await Promise.all([migrate(db.url), migrate(urlOfDatabase(db.url, other))])
    expect(
      await db.query("select rolname from pg_roles where rolname in ('tollgate_caller', 'tollgate_app') order by 1"),
    ).toEqual([{ rolname: 'tollgate_app' }, { rolname: 'tollgate_caller' }])
  } finally {
    await db.onServer(`drop database ${other} with (force)`)
  }
})

describe('a program of another version', () => {
  test('A program of another version that is older refuses a schema that it does not understand, and names what it lacks.', async () => {
    await migrate(db.url, { files: withMigrations(extra({ breaking: true })) })
    const error = await refusal(migrate(db.url))
    expect(error).toBeInstanceOf(SchemaTooNewError)
    expect(error).toMatchObject({
      message:
        'The database was migrated by a newer Tollgate (999999-from-the-future) in a way this version does not understand. ' +
        'Start that newer version instead.',
    })
  })

  test('A program of another version that is older works with a newer schema that breaks nothing.', async () => {
    await migrate(db.url, { files: withMigrations(extra({})) })
    expect(await migrate(db.url)).toEqual(nothing)
  })

  test('A program of another version gets a migration applied that an older one left out, though a newer one is there.', async () => {
    await migrate(db.url, { files: withMigrations(extra({})) })
    const late = extra({ id: 999_998, name: 'late', sql: 'create table late (id integer)' })
    const report = await migrate(db.url, { files: withMigrations(late, extra({})) })
    expect(report).toEqual({ ...nothing, migrations: ['999998-late'] })
  })
})

describe('what fails is rolled back as a whole and named', () => {
  test('A migration that fails is rolled back as a whole and named, on an empty database.', async () => {
    const broken = extra({ name: 'broken', sql: 'create table half (id integer);\nselect 1 / 0' })
    const error = await refusal(migrate(db.url, { files: withMigrations(broken) }))
    expect(error).toBeInstanceOf(MigrationError)
    expect(error).toMatchObject({
      message: 'sql/migrations/999999-broken.sql failed and nothing was changed: division by zero.',
    })
    expect(await db.objects()).toEqual([])
    expect((await migrate(db.url)).created).toBe(true)
  })

  test('A function file that fails is rolled back as a whole and named with its line, after a migration that would have worked.', async () => {
    await migrate(db.url)
    const before = await db.objects()
    const broken = { name: 'broken.sql', hash: 'x', sql: 'create or replace function one() returns int\n  languag sql' }
    const { functions } = files
    const changed = {
      ...withMigrations(extra({})),
      functions: { ...functions, number: functions.number + 1, files: [...functions.files, broken] },
    }
    expect(await refusal(migrate(db.url, { files: changed }))).toMatchObject({
      message: 'sql/functions/broken.sql:2 failed and nothing was changed: syntax error at or near "languag".',
    })
    expect(await db.objects()).toEqual(before)
    expect(await migrate(db.url)).toEqual(nothing)
  })

  test('A migration that ends the transaction by itself is rolled back as a whole and named.', async () => {
    const ending = extra({ name: 'ending', sql: 'commit; begin' })
    expect(await refusal(migrate(db.url, { files: withMigrations(ending) }))).toBeInstanceOf(MigrationError)
  })

  test('A migration that waits five seconds for a lock that somebody holds is rolled back as a whole and named.', async () => {
    await migrate(db.url)
    const holder = new pg.Client({ connectionString: db.url })
    await holder.connect()
    await holder.query('begin; lock table organizations in access share mode')
    const altering = extra({ sql: 'alter table organizations add column spare integer' })
    const lines: string[] = []
    const error = await refusal(
      migrate(db.url, { files: withMigrations(altering), log: (line) => void lines.push(line) }),
    )
    expect(error).toMatchObject({
      message:
        'sql/migrations/999999-from-the-future.sql failed and nothing was changed: canceling statement due to lock timeout. ' +
        'Another session held on to it for 5s; run `tollgate migrate` again.',
    })
    expect(lines).toEqual(['sql/migrations/999999-from-the-future.sql is at work ...'])
    await holder.end()
    expect(await migrate(db.url, { files: withMigrations(altering) })).toEqual({
      ...nothing,
      migrations: ['999999-from-the-future'],
    })
  })
})

test("Where the list of migrations can't be written because its row is locked, nothing is applied, and the error says to run again.", async () => {
  await migrate(db.url)
  const holder = new pg.Client({ connectionString: db.url })
  await holder.connect()
  await holder.query('begin; select from tollgate.function_set for update')
  const { functions } = files
  const raised = { ...files, functions: { ...functions, number: functions.number + 1 } }
  expect(await refusal(migrate(db.url, { files: raised }))).toMatchObject({
    message:
      'What was applied could not be noted, and nothing was changed: canceling statement due to lock timeout. ' +
      'Another session held on to it for 5s; run `tollgate migrate` again.',
  })
  await holder.end()
  expect(await migrate(db.url, { files: raised })).toEqual(nothing)
})

describe('a database of somebody else', () => {
  test('A database of somebody else with a table of the same name is left as it is, and the table is named.', async () => {
    await db.query('create table public.organizations (theirs integer)')
    const before = await db.objects()
    const error = await refusal(migrate(db.url))
    expect(error).toBeInstanceOf(MigrationError)
    expect(error).toMatchObject({
      message: expect.stringMatching(
        /^sql\/migrations\/000001-organizations\.sql.* failed and nothing was changed: relation "organizations" already exists\. Give Tollgate a database of its own, or rename what is there\.$/,
      ),
    })
    expect(await db.objects()).toEqual(before)
  })

  test('A database of somebody else with a function of the same name and arguments is left as it is, and the function is named.', async () => {
    const [file] = files.functions.files
    const theirs = 'create function public.bill(p integer) returns integer language sql as $$ select 1 $$'
    await db.query(theirs)
    const ours = theirs.replace('create', 'create or replace').replace('select 1', 'select 2')
    const mine = { ...file!, name: 'bill.sql', hash: 'x', sql: ours }
    const { functions } = files
    const changed = { ...files, functions: { ...functions, files: [...functions.files, mine] } }
    const error = await refusal(migrate(db.url, { files: changed }))
    expect(error).toMatchObject({
      message:
        'The database has public.bill(p integer) already, and not from Tollgate. Give Tollgate a database of its own, or rename ' +
        'what is there. Nothing was changed.',
    })
    expect(await db.query('select public.bill(0)')).toEqual([{ bill: 1 }])
    expect(await db.objects()).toEqual(['bill(integer)'])
  })

  test('A database of somebody else of the time before the first release is refused in one sentence.', async () => {
    await db.query('create table public.tollgate_migrations (id integer)')
    const before = await db.objects()
    const error = await refusal(migrate(db.url))
    expect(error).toBeInstanceOf(FormerSchemaError)
    expect(error).toMatchObject({
      message:
        `The database "${db.name}" was made by a Tollgate from before the first release, whose schema is not carried over: ` +
        'create a new database (without DATABASE_URL: name another folder with --data-dir, or move the old one away).',
    })
    expect(await db.objects()).toEqual(before)
  })
})

test('A role whose name is the schema’s gets the tables of the contract in public all the same.', async () => {
  await migrate(db.url)
  expect(await db.query('select current_user as role')).toEqual([{ role: 'tollgate' }])
  expect(await db.query("select to_regclass('public.organizations')::text as table")).toEqual([
    { table: 'organizations' },
  ])
})

test('Warnings of PostgreSQL are passed on.', async () => {
  const lines: string[] = []
  const warning = extra({ sql: `do $$ begin raise warning 'mind the gap'; end $$` })
  await migrate(db.url, { files: withMigrations(warning), log: (line) => void lines.push(line) })
  expect(lines).toContain('PostgreSQL warns: mind the gap')
})
