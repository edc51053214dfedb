/**
 * Reads Ops-Center's database: one read-only transaction of one snapshot, so nothing there can change, by us or under us. Deployed
 * databases differ from the migration that made them, so a column is taken by any of its names, as text, and may be missing.
 */
import pg from 'pg'
import { fetchPages, openSnapshot, requireTables, type Snapshot, SourceError } from './snapshot.ts'

export { SourceError }

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

/** @throws {SourceError} where it is not Ops-Center's; other errors are PostgreSQL's or the network's. */
export async function openSource(url: string): Promise<Source> {
  const snapshot = await openSnapshot(url, WHOSE)
  try {
    requireTables(snapshot, WHOSE, ['organizations', 'organization_credit_pools', 'user_credit_allocations'])
    return sourceOf(snapshot)
  } catch (error) {
    await snapshot.close()
    throw error
  }
}

const WHOSE = "Ops-Center's"

function sourceOf({ client, name, columns, close }: Snapshot): Source {
  return {
    name,
    has: (table) => columns.has(table),
    async count(table) {
      if (!columns.has(table)) return 0
      const counted = await client.query<{ count: string }>(`select count(*) from public.${pg.escapeIdentifier(table)}`)
      return Number(counted.rows[0]?.count ?? 0)
    },
    pages: (table, wanted, order) => pages(client, { table, columns: columns.get(table), wanted, order }),
    close,
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
  const select = `select ${list.join(', ')} from public.${pg.escapeIdentifier(table)}
    ${by.length === 0 ? '' : `order by ${by.join(', ')}`}`
  yield* fetchPages<SourceRow>(client, { name: table, select })
}
