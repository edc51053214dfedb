/**
 * Forward-only migrations from sql/, in the order of their numbers, each in a transaction of its own. Fails closed: a schema
 * this program doesn't understand means no program.
 */
import { readdir, readFile } from 'node:fs/promises'
import pg from 'pg'

/** Any constant will do, as long as every tollgate uses the same. */
const MIGRATION_LOCK = 8084_0001
const FOLDER = new URL('../../sql/', import.meta.url)

export interface Migration {
  id: number
  name: string
  /** An older program can't work with a schema that has it. Stated by the file's first line: `-- breaking`. */
  breaking: boolean
  sql: string
}

/** The schema is newer than this program and not compatible with it. */
export class SchemaTooNewError extends Error {}

export async function readMigrations(): Promise<Migration[]> {
  const names = (await readdir(FOLDER)).filter((name) => /^\d{6}-.*\.sql$/.test(name)).sort()
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(new URL(name, FOLDER), 'utf8')
      return { id: Number(name.slice(0, 6)), name: name.slice(7, -4), breaking: sql.startsWith('-- breaking'), sql }
    }),
  )
}

/**
 * Brings the schema up to date. Safe from several processes at once: they queue on an advisory lock and the later ones find
 * nothing to do. Answers the names of the migrations applied.
 * @throws {SchemaTooNewError} when the database holds a breaking migration this program doesn't know.
 */
export async function migrate(url: string, migrations?: Migration[]): Promise<string[]> {
  const known = migrations ?? (await readMigrations())
  const client = new pg.Client({
    connectionString: url,
    application_name: 'tollgate migrate',
    connectionTimeoutMillis: 5_000,
  })
  // What was asked then rejects; without a listener a broken connection would end the process.
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK])
    const applied = await appliedMigrations(client)
    refuseNewer(applied, known)
    const missing = known.filter((migration) => !applied.some((row) => row.id === migration.id))
    for (const migration of missing) await apply(client, migration)
    return missing.map((migration) => migration.name)
  } finally {
    await client.end()
  }
}

async function appliedMigrations(client: pg.Client): Promise<{ id: number; name: string; breaking: boolean }[]> {
  await client.query(`create table if not exists tollgate_migrations (
    id integer primary key, name text not null, breaking boolean not null, applied_at timestamptz not null default now())`)
  const { rows } = await client.query('select id, name, breaking from tollgate_migrations order by id')
  return rows
}

function refuseNewer(applied: { id: number; name: string; breaking: boolean }[], known: Migration[]): void {
  const newer = applied.filter((row) => row.breaking && !known.some((migration) => migration.id === row.id))
  if (newer.length === 0) return
  throw new SchemaTooNewError(
    `The database was migrated by a newer Tollgate (${newer.map((row) => `${row.id}-${row.name}`).join(', ')}) ` +
      'in a way this version does not understand. Start that newer version instead.',
  )
}

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  await client.query('begin')
  try {
    await client.query(migration.sql)
    await client.query('insert into tollgate_migrations (id, name, breaking) values ($1, $2, $3)', [
      migration.id,
      migration.name,
      migration.breaking,
    ])
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw new Error(
      `Migration ${migration.id}-${migration.name} failed and was rolled back: ${(error as Error).message}`,
      {
        cause: error,
      },
    )
  }
}
