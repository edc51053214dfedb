/** LiteLLM's database. Each version of it has other columns: what is not there is undefined. */
import pg from 'pg'
import { fetchPages, openSnapshot, requireTables } from '../snapshot.ts'

/** A row as JSON: arrays are lists, times are texts of UTC without a zone. */
export type SourceRow = Readonly<Record<string, unknown>>

export interface Source {
  readonly name: string
  /** All rows of a table, by its name without `LiteLLM_`. None where it is not there. */
  rows(table: string): Promise<SourceRow[]>
  /** The columns that are there of those named, some rows at a time. */
  pages(table: string, wanted: readonly string[], asked: Asked): AsyncGenerator<SourceRow[]>
  /** What calls since a time cost, of those that all columns describe. Dollars. */
  spentSince(since: Date, by: Readonly<Record<string, string>>, model: string | null): Promise<number>
  close(): Promise<void>
}

export interface Asked {
  /** ISO 8601; null: no bound. */
  from: string | null
  until: string | null
  /** The column of the times. */
  at: string
  order: readonly string[]
}

const WHOSE = "LiteLLM's"

/** @throws {SourceError} where it is not LiteLLM's; other errors are PostgreSQL's or the network's. */
export async function openLitellm(url: string): Promise<Source> {
  const schema = schemaIn(url)
  const snapshot = await openSnapshot(url, WHOSE, schema)
  const { client, columns } = snapshot
  const nameOf = (table: string) => `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(`LiteLLM_${table}`)}`
  const has = (table: string) => columns.has(`LiteLLM_${table}`)
  try {
    requireTables(snapshot, WHOSE, ['LiteLLM_VerificationToken'])
  } catch (error) {
    await snapshot.close()
    throw error
  }
  return {
    name: snapshot.name,
    async rows(table) {
      if (!has(table)) return []
      const { rows } = await client.query<{ row: SourceRow }>(`select to_jsonb(t) as row from ${nameOf(table)} t`)
      return rows.map(({ row }) => row)
    },
    async *pages(table, wanted, { from, until, at, order }) {
      const there = columns.get(`LiteLLM_${table}`) ?? new Set()
      const list = wanted.filter((one) => there.has(one)).map((one) => `to_jsonb(t.${quoted(one)}) as ${quoted(one)}`)
      if (list.length === 0) return
      const by = order.filter((one) => there.has(one)).map((one) => `t.${quoted(one)}`)
      const select = `select ${list.join(', ')} from ${nameOf(table)} t
        where ($1::timestamp is null or t.${quoted(at)} >= $1) and ($2::timestamp is null or t.${quoted(at)} < $2)
        order by ${by.join(', ')}`
      yield* fetchPages<SourceRow>(client, { name: table, select, values: [from, until] })
    },
    async spentSince(since, by, model) {
      const there = columns.get('LiteLLM_SpendLogs')
      if (there === undefined || Object.keys(by).some((one) => !there.has(one))) return 0
      const where = Object.keys(by).map((one, at) => ` and ${quoted(one)} = $${at + 3}`)
      const { rows } = await client.query<{ spend: number }>(
        `select coalesce(sum(spend), 0)::float8 as spend from ${nameOf('SpendLogs')}
        where "startTime" >= $1::timestamp and ($2::text is null or $2 in (${there.has('model_group') ? 'model_group, ' : ''}model))${where.join('')}`,
        [since.toISOString().slice(0, -1), model, ...Object.values(by)],
      )
      return rows[0]?.spend ?? 0
    },
    close: snapshot.close,
  }
}

function quoted(name: string): string {
  return pg.escapeIdentifier(name)
}

/** As Prisma's URLs name it. */
function schemaIn(url: string): string {
  return URL.canParse(url) ? (new URL(url).searchParams.get('schema') ?? 'public') : 'public'
}
