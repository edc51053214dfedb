/** A copy of the books on another PostgreSQL server numbers them on where the copied ones end, so that nobody who follows them misses one. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

/** Call it before anything is booked. Returns whether the books came from another server. */
export async function adoptServer({ query }: Pick<Database, 'query'>): Promise<boolean> {
  const { rows } = await sql<{ moved: boolean }>`select tollgate.ledger_adopt_server() as moved`.execute(query)
  return rows[0]?.moved === true
}
