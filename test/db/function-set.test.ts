/** Function sets of several versions on one database, and functions that somebody changed there by hand: nothing fails silently. */
import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { checkSchema, requireSchema } from '../../src/db/check-schema.ts'
import { migrate } from '../../src/db/migrate.ts'
import { FormerSchemaError, NotTollgateError, SchemaBehindError, SchemaTooNewError } from '../../src/db/schema-error.ts'
import { readSchemaFiles, type SchemaFiles } from '../../src/db/schema-files.ts'
import { describePlan } from '../../src/db/schema-plan.ts'
import { useEmptyDatabase } from '../support/empty-database.ts'

const db = useEmptyDatabase()
let files: SchemaFiles
/** The same, and a function `answer()` in a file of its own. */
let answering: (answer: number, number?: number) => SchemaFiles
beforeAll(async () => {
  files = await readSchemaFiles()
  answering = (answer, number = files.functions.number) => {
    const sql = `create or replace function tollgate.answer() returns integer language sql as $$ select ${answer} $$`
    const file = { name: 'answer.sql', hash: createHash('sha256').update(sql).digest('hex'), sql }
    return {
      ...files,
      program: `0.${number}.0`,
      functions: { ...files.functions, number, files: [...files.functions.files, file] },
    }
  }
})

const answer = async () => (await db.query<{ answer: number }>('select tollgate.answer()'))[0]?.answer
const setNumber = async () =>
  (await db.query<{ number: number }>('select number from tollgate.function_set'))[0]?.number
const nothing = { created: false, migrations: [], functions: [], mended: [], newerSet: null, sameNumber: false }
const refusal = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'it was not refused',
    (error: unknown) => error,
  )
const auditFile = () => files.functions.files.find(({ sql }) => /function \S*ledger_audit\(/.test(sql))!.name

describe('of two versions', () => {
  test('Of two versions the newer replaces what the older applied, file by file, and the older then leaves it.', async () => {
    await migrate(db.url, { files: answering(1, 7) })
    expect(await checkSchema(db.url, answering(2, 8))).toMatchObject({
      upToDate: false,
      functions: [{ name: 'answer.sql' }],
    })
    expect(await migrate(db.url, { files: answering(2, 8) })).toEqual({ ...nothing, functions: ['answer.sql'] })
    const newerSet = { number: 8, program: '0.8.0', ours: 7 }
    expect(await migrate(db.url, { files: answering(1, 7) })).toEqual({ ...nothing, newerSet })
    expect([await answer(), await setNumber()]).toEqual([2, 8])
    expect(await requireSchema(db.url, answering(1, 7))).toBe(
      'The database has function set 8 of Tollgate 0.8.0, newer than set 7 of this version: it stays.',
    )
    expect(await requireSchema(db.url, answering(2, 8))).toBe(null)
  })

  test('The newer of two versions is not started before its functions are there.', async () => {
    await migrate(db.url, { files: answering(1, 7) })
    const error = await refusal(requireSchema(db.url, answering(2, 8)))
    expect(error).toBeInstanceOf(SchemaBehindError)
    expect(error).toMatchObject({
      message:
        'The schema of the database is not as this program needs it: functions of answer.sql are to be applied. ' +
        'Run `tollgate migrate`.',
    })
  })

  test('A higher number alone is noted, so that an older text never comes back.', async () => {
    await migrate(db.url, { files: answering(1, 7) })
    expect((await checkSchema(db.url, answering(1, 8))).upToDate).toBe(true)
    expect(await migrate(db.url, { files: answering(1, 8) })).toEqual(nothing)
    expect(await setNumber()).toBe(8)
  })

  test('Two texts under one number are told apart, and the later one is applied.', async () => {
    await migrate(db.url, { files: answering(1, 7) })
    expect(describePlan(await checkSchema(db.url, answering(2, 7)))).toEqual([
      'functions of answer.sql are to be applied (another text has the same number)',
    ])
    const report = await migrate(db.url, { files: answering(2, 7) })
    expect(report).toEqual({ ...nothing, functions: ['answer.sql'], sameNumber: true })
    expect(await answer()).toBe(2)
  })
})

describe('a function changed by hand', () => {
  const change = (name: string) =>
    db.query(`do $$ begin
      execute replace(pg_get_functiondef('${name}'::regproc), 'select', 'select /* by hand */'); end $$`)

  test('A function changed by hand is named, stops the start, and is put right by migrate.', async () => {
    await migrate(db.url)
    await change('tollgate.ledger_audit')
    const drift = [{ name: expect.stringMatching(/^(public|tollgate)\.ledger_audit\(\)$/), change: 'changed' }]
    expect(await checkSchema(db.url)).toMatchObject({ upToDate: false, drift, migrations: [] })
    const error = await refusal(requireSchema(db.url))
    expect(error).toBeInstanceOf(SchemaBehindError)
    expect(error).toMatchObject({
      message: expect.stringMatching(/\.ledger_audit\(\) was changed by hand\. Run `tollgate migrate`\.$/),
    })
    expect(await migrate(db.url)).toEqual({ ...nothing, functions: [auditFile()], mended: drift })
    expect(await requireSchema(db.url)).toBe(null)
    const [row] = await db.query<{ text: string }>("select prosrc as text from pg_proc where proname = 'ledger_audit'")
    expect(row?.text).not.toContain('by hand')
  })

  test.each([
    ['its settings', 'alter function tollgate.answer() set search_path = public'],
    ['its rights', 'alter function tollgate.answer() security definer'],
    ['its volatility', 'alter function tollgate.answer() stable'],
    ['its name', 'alter function tollgate.answer() rename to question'],
    ['its being there', 'drop function tollgate.answer()'],
  ])('A function changed by hand in %s is found and put right.', async (_what, statement) => {
    await migrate(db.url, { files: answering(1) })
    await db.query(statement)
    const plan = await checkSchema(db.url, answering(1))
    expect(plan.drift.map(({ name }) => name)).toEqual(['tollgate.answer()'])
    expect((await migrate(db.url, { files: answering(1) })).mended).toEqual(plan.drift)
    expect((await checkSchema(db.url, answering(1))).upToDate).toBe(true)
    expect(await answer()).toBe(1)
  })

  test('A function changed by hand that a newer version brought is not put right by an older one, which says so.', async () => {
    await migrate(db.url, { files: answering(2, 8) })
    await db.query('alter function tollgate.answer() stable')
    const older = answering(1, 7)
    expect(await refusal(requireSchema(db.url, older))).toMatchObject({
      message: expect.stringMatching(/answer\(\) was changed by hand\. Run `tollgate migrate` of Tollgate 0\.8\.0\.$/),
    })
    expect(await refusal(migrate(db.url, { files: older }))).toMatchObject({
      message:
        'tollgate.answer() was changed by hand. Run `tollgate migrate` of Tollgate 0.8.0, which has its text. Nothing was changed.',
    })
    expect((await migrate(db.url, { files: answering(2, 8) })).mended.length).toBe(1)
  })

  test('A function changed by hand that belongs to no file, such as one an older version still calls, is named until somebody puts it back.', async () => {
    await migrate(db.url, { files: answering(1, 7) })
    const without = { ...files, functions: { ...files.functions, number: 8 } }
    await migrate(db.url, { files: without })
    expect((await checkSchema(db.url, without)).upToDate).toBe(true)
    await db.query('alter function tollgate.answer() stable')
    expect(await refusal(migrate(db.url, { files: without }))).toMatchObject({
      message:
        'tollgate.answer() was changed by hand. No file of sql/functions holds it: put it back by hand as sql/schema.sql has it. ' +
        'Nothing was changed.',
    })
    await db.query('alter function tollgate.answer() volatile')
    expect((await checkSchema(db.url, without)).upToDate).toBe(true)
  })

  test('The clock of money, which tests replace, does not count as a function changed by hand.', async () => {
    await migrate(db.url)
    await db.query(`do $$ begin
      execute replace(pg_get_functiondef((select oid from pg_proc where proname = 'tollgate_now')), 'clock_timestamp', 'now'); end $$`)
    expect((await checkSchema(db.url)).upToDate).toBe(true)
  })

  test('A function that an operator added under the same name does not count as one changed by hand.', async () => {
    await migrate(db.url)
    await db.query('create function public.deduct_credits(text) returns text language sql as $$ select $1 $$')
    expect(await migrate(db.url, { files: answering(1) })).toMatchObject({ functions: ['answer.sql'], mended: [] })
    await db.query('drop function public.deduct_credits(text)')
    expect((await checkSchema(db.url, answering(1))).upToDate).toBe(true)
  })
})

test('A trigger of ours that was switched off is named, and switched on again by migrate.', async () => {
  await migrate(db.url)
  const name = 'trigger credit_usage_attribution_append_only on public.credit_usage_attribution'
  await db.query('alter table credit_usage_attribution disable trigger credit_usage_attribution_append_only')
  const drift = [{ name, change: 'changed' }]
  expect((await checkSchema(db.url)).drift).toEqual(drift)
  expect(await migrate(db.url)).toEqual({ ...nothing, functions: ['triggers.sql'], mended: drift })
  expect((await checkSchema(db.url)).upToDate).toBe(true)
  await expect(db.query('delete from credit_usage_attribution')).rejects.toThrow('append-only')
})

describe('the check', () => {
  test('The check refuses a database that is not Tollgate’s, and writes nothing into it.', async () => {
    await db.query('create table notes (text text)')
    const before = await db.objects()
    const error = await refusal(checkSchema(db.url))
    expect(error).toBeInstanceOf(NotTollgateError)
    expect(error).toMatchObject({
      message: `The database "${db.name}" is not a Tollgate database (yet): run \`tollgate migrate\`.`,
    })
    expect(await db.objects()).toEqual(before)
  })

  test('The check refuses a database of the time before the first release, and one that is too new.', async () => {
    await db.query('create table public.tollgate_migrations (id integer)')
    expect(await refusal(checkSchema(db.url))).toBeInstanceOf(FormerSchemaError)
    await db.query('drop table public.tollgate_migrations')
    await migrate(db.url)
    await db.query("insert into tollgate.migrations values (999999, 'from-the-future', true)")
    expect(await refusal(checkSchema(db.url))).toBeInstanceOf(SchemaTooNewError)
  })

  test('The check names every migration that is missing.', async () => {
    await migrate(db.url)
    const next = { id: 999_999, name: 'next', breaking: true, sql: 'select 1' }
    const plan = await checkSchema(db.url, { ...files, migrations: [...files.migrations, next] })
    expect(describePlan(plan)).toEqual(['migration 999999-next is missing'])
  })

  test('The check needs no more rights than to read the two tables, and says which where it has none.', async () => {
    await migrate(db.url)
    const role = `reader_${db.name}`
    await db.onServer(`create role ${role} login`)
    try {
      const asReader = db.url.replace('//tollgate@', `//${role}@`)
      expect(await refusal(checkSchema(asReader))).toMatchObject({
        message: `The role "${role}" may not read the schema tollgate (permission denied for schema tollgate). Its owner can let it: grant tollgate_app to "${role}";`,
      })
      await db.query(
        `grant usage on schema tollgate to ${role}; grant select on tollgate.migrations, tollgate.function_set to ${role}`,
      )
      expect((await checkSchema(asReader)).upToDate).toBe(true)
    } finally {
      await db.query(`drop owned by ${role}`)
      await db.onServer(`drop role ${role}`)
    }
  })
})
