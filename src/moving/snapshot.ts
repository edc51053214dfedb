/** Another program's database in one snapshot, read-only: nothing there can change, by us or under us. */
import pg from 'pg'

export class SourceError extends Error {}

export interface Snapshot {
  readonly client: pg.Client
  /** `litellm on postgres:5432`. */
  readonly name: string
  /** Of each table that may be read. */
  readonly columns: ReadonlyMap<string, ReadonlySet<string>>
  close(): Promise<void>
}

/** @throws {SourceError} where it is a database of Tollgate's; other errors are PostgreSQL's or the network's. */
export async function openSnapshot(url: string, whose: string, schema = 'public'): Promise<Snapshot> {
  const client = new pg.Client({ connectionString: url, application_name: 'tollgate', connectionTimeoutMillis: 5_000 })
  // A connection that breaks rejects the query that runs.
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query('begin transaction isolation level repeatable read read only')
    await client.query(
      "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0; set local time zone 'UTC'; set local datestyle = 'ISO'",
    )
    return await describe(client, whose, schema)
  } catch (error) {
    await client.end()
    throw error
  }
}

async function describe(client: pg.Client, whose: string, schema: string): Promise<Snapshot> {
  const { rows } = await client.query<{ table: string; column: string; ours: boolean }>(
    `select table_name as table, column_name as column, to_regclass('tollgate.ledger_identity') is not null as ours
    from information_schema.columns where table_schema = $1`,
    [schema],
  )
  if (rows[0]?.ours === true) throw new SourceError(`it is a database of Tollgate's, not ${whose}`)
  const columns = new Map<string, Set<string>>()
  for (const { table, column } of rows) columns.set(table, (columns.get(table) ?? new Set()).add(column))
  const { host, port, database = '' } = client
  return { client, name: `${database} on ${host}:${port}`, columns, close: () => client.end() }
}

/** @throws {SourceError} naming the tables that are not there. */
export function requireTables({ columns }: Snapshot, whose: string, tables: readonly string[]): void {
  const missing = tables.filter((table) => !columns.has(table))
  if (missing.length > 0) throw new SourceError(`it is not ${whose}: there is no table ${missing.join(', ')}`)
}

/** Every row of a statement, some at a time. One cursor of a name may be open at once. */
export async function* fetchPages<Row extends object>(
  client: pg.Client,
  { name, select, values = [] }: { name: string; select: string; values?: unknown[] },
): AsyncGenerator<Row[]> {
  const cursor = pg.escapeIdentifier(`of ${name}`)
  await client.query(`declare ${cursor} no scroll cursor for ${select}`, values)
  try {
    for (;;) {
      const { rows } = await client.query<Row>(`fetch ${PAGE} from ${cursor}`)
      if (rows.length === 0) return
      yield rows
    }
  } finally {
    // After an error the transaction takes nothing more, and the error is what counts.
    await client.query(`close ${cursor}`).catch(() => {})
  }
}

const PAGE = 1_000
