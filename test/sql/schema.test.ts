/** What sql/ says of itself: the number of the function set is raised with its texts, and schema.sql is what the files make. */
import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { hashOfSet, readSchemaFiles, SQL_FOLDER } from '../../src/db/schema-files.ts'
import { useDatabase } from '../support/database.ts'
import { dumpSchema } from './dump-schema.ts'

const db = useDatabase()
const advice = 'run `npm run sql:seal` and commit what it writes'

test('sql/schema.sql is the schema that the migrations and functions make.', async () => {
  const written = await readFile(new URL('schema.sql', SQL_FOLDER), 'utf8')
  expect(await dumpSchema(db.url), `sql/schema.sql is not what a migrated database has: ${advice}`).toBe(written)
})

test('The number of the function set was raised when a text changed.', async () => {
  const { functions } = await readSchemaFiles()
  expect(hashOfSet(functions.files), `sql/functions changed, and set.json did not: ${advice}`).toBe(functions.hash)
})

test('Every file of sql/functions is in the function set, and every file of sql/migrations has a number of its own.', async () => {
  const { migrations, functions } = await readSchemaFiles()
  const present = await readdir(new URL('functions/', SQL_FOLDER))
  expect(new Set(functions.files.map(({ name }) => name)), advice).toEqual(
    new Set(present.filter((name) => name !== 'set.json')),
  )
  expect(migrations.map(({ id }) => id)).toEqual(migrations.map((_, index) => index + 1))
  expect((await readdir(new URL('migrations/', SQL_FOLDER))).length).toBe(migrations.length)
})

test('The files of sql/functions can be applied again, and change nothing then.', async () => {
  const before = await dumpSchema(db.url)
  const { functions } = await readSchemaFiles()
  const client = await db.pool.connect()
  try {
    for (const { sql } of functions.files) await client.query(`begin; set local search_path = public; ${sql}; commit`)
  } finally {
    client.release(true)
  }
  expect(await dumpSchema(db.url)).toBe(before)
})
