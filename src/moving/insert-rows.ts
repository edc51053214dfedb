/** Many rows in one statement; every value goes as text, so that an amount stays exactly what it is. */
import { sql, type Transaction } from 'kysely'
import type { Tables } from '../db/tables.ts'

export type Values = Readonly<Record<string, string | boolean | null | undefined>>

const PAGE = 1_000

/** `columns`: name -> SQL type. A missing value is NULL. */
export async function insertRows(
  transaction: Transaction<Tables>,
  { table, columns }: { table: string; columns: Readonly<Record<string, string>> },
  rows: readonly Values[],
): Promise<void> {
  const names = Object.keys(columns)
  const casts = names.map((name) => sql`${sql.id(name)}::${sql.raw(columns[name] ?? 'text')}`)
  const texts = names.map((name) => sql`${sql.id(name)} text`)
  for (let at = 0; at < rows.length; at += PAGE)
    await sql`insert into ${sql.table(table)} (${sql.join(names.map((name) => sql.id(name)))})
      select ${sql.join(casts)} from jsonb_to_recordset(${JSON.stringify(rows.slice(at, at + PAGE))}::jsonb) as r(${sql.join(texts)})`.execute(
      transaction,
    )
}
