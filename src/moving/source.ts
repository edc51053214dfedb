/**
 * Reads Ops-Center's database: one read-only transaction of one snapshot, so nothing there can change, by us or under us. Deployed
 * databases differ from the migration that made them, so a column is taken by any of its names, as text, and may be missing.
 */
import pg from 'pg'

export type SourceRow = Readonly<Record<string, string | null>>
/** Our name of a column, and the names it may have there. */
export type Wanted = Readonly<Record<string, readonly string[]>>

export interface Source {
  /** `unicorn_db on unicorn-postgresql:5432`. */
  readonly name: string
  has(table: string): boolean
  count(table: string): Promise<number>
  /** Every row, some at a time, in the order of `order`, names of `wanted`. A table that is not there has no rows. */
  pages(table: string, wanted: Wanted, order: readonly string[]): AsyncGenerator<SourceRow[]>
  close(): Promise<void>
}

const PAGE = 1_000

export class SourceError extends Error {}

/** @throws {SourceError} where it is not Ops-Center's; other errors are PostgreSQL's or the network's. */
export async function openSource(url: string): Promise<Source> {
  const client = new pg.Client({ connectionString: url, application_name: 'tollgate', connectionTimeoutMillis: 5_000 })
  // A connection that breaks rejects the query that runs.
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query('begin transaction isolation level repeatable read read only')
    await client.query(
      "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0; set local time zone 'UTC'; set local datestyle = 'ISO'",
    )
    return await describe(client)
  } catch (error) {
    await client.end()
    throw error
  }
}

async function describe(client: pg.Client): Promise<Source> {
  const { rows } = await client.query<{ table: string; column: string; ours: boolean }>(
    `select table_name as table, column_name as column, to_regclass('tollgate.ledger_identity') is not null as ours
    from information_schema.columns where table_schema = 'public'`,
  )
  if (rows[0]?.ours === true) throw new SourceError("it is a database of Tollgate's, not Ops-Center's")
  const columns = new Map<string, Set<string>>()
  for (const { table, column } of rows) columns.set(table, (columns.get(table) ?? new Set()).add(column))
  const missing = ['organizations', 'organization_credit_pools', 'user_credit_allocations'].filter(
    (table) => !columns.has(table),
  )
  if (missing.length > 0) throw new SourceError(`it is not Ops-Center's: there is no table ${missing.join(', ')}`)
  const { host, port, database = '' } = client
  return {
    name: `${database} on ${host}:${port}`,
    has: (table) => columns.has(table),
    async count(table) {
      if (!columns.has(table)) return 0
      const counted = await client.query<{ count: string }>(`select count(*) from public.${pg.escapeIdentifier(table)}`)
      return Number(counted.rows[0]?.count ?? 0)
    },
    pages: (table, wanted, order) => pages(client, { table, columns: columns.get(table), wanted, order }),
    close: () => client.end(),
  }
}

interface Asked {
  table: string
  columns: ReadonlySet<string> | undefined
  wanted: Wanted
  order: readonly string[]
}

async function* pages(client: pg.Client, { table, columns, wanted, order }: Asked): AsyncGenerator<SourceRow[]> {
  if (columns === undefined) return
  const list = Object.entries(wanted).map(([name, names]) => {
    const here = names.filter((one) => columns.has(one)).map((one) => `${pg.escapeIdentifier(one)}::text`)
    return `coalesce(${['null', ...here].join(', ')}) as ${pg.escapeIdentifier(name)}`
  })
  const by = order.filter((one) => columns.has(one)).map(pg.escapeIdentifier)
  const cursor = pg.escapeIdentifier(`of ${table}`)
  await client.query(
    `declare ${cursor} no scroll cursor for select ${list.join(', ')} from public.${pg.escapeIdentifier(table)}
    ${by.length === 0 ? '' : `order by ${by.join(', ')}`}`,
  )
  try {
    for (;;) {
      const { rows } = await client.query<SourceRow>(`fetch ${PAGE} from ${cursor}`)
      if (rows.length === 0) return
      yield rows
    }
  } finally {
    // After an error the transaction takes nothing more, and the error is what counts.
    await client.query(`close ${cursor}`).catch(() => {})
  }
}
