/** A database without a schema for each test of a file, on the server of the run. */
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterEach, beforeEach, inject } from 'vitest'
import { urlOfDatabase } from './global-database.ts'

export interface EmptyDatabase {
  readonly name: string
  /** As superuser. */
  readonly url: string
  query<Row extends pg.QueryResultRow>(statement: string, values?: unknown[]): Promise<Row[]>
  /** On the server's own database. */
  onServer(statement: string): Promise<void>
  /** Every schema, relation, function and type that PostgreSQL did not bring. */
  objects(): Promise<string[]>
}

/** Call it at the top of a test file. What it gives can be used inside tests. */
export function useEmptyDatabase(): EmptyDatabase {
  const server = inject('databaseServer').url
  let name = ''
  const onServer = async (statement: string) => void (await queryOnce(server, statement))

  beforeEach(async () => {
    name = `empty_${randomUUID().replaceAll('-', '')}`
    await onServer(`create database ${name}`)
  })
  afterEach(() => onServer(`drop database ${name} with (force)`))

  const url = () => urlOfDatabase(server, name)
  return {
    get name() {
      return name
    },
    get url() {
      return url()
    },
    query: (statement, values) => queryOnce(url(), statement, values),
    onServer,
    async objects() {
      const rows = await queryOnce<{ name: string }>(
        url(),
        `select nspname as name from pg_namespace where oid >= 16384
        union all select oid::regclass::text from pg_class where oid >= 16384
        union all select oid::regprocedure::text from pg_proc where oid >= 16384
        union all select oid::regtype::text from pg_type where oid >= 16384 order by 1`,
      )
      return rows.map((row) => row.name)
    },
  }
}

/** One statement on a connection of its own. */
export async function queryOnce<Row extends pg.QueryResultRow>(
  url: string,
  statement: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url })
  // The database may be dropped under it; what was asked then rejects.
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<Row>(statement, values)).rows
  } finally {
    await client.end()
  }
}
