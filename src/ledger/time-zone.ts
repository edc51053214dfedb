/** In which time zone days, weeks and months of limits and credits begin: one for all programs on a database. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

/** Returns whether it was another one before. Windows that are open go on under their old bounds. @throws where PostgreSQL does not know it. */
export async function setTimeZone({ query }: Pick<Database, 'query'>, zone: string): Promise<boolean> {
  const { rows } = await sql<{ changed: boolean }>`select tollgate.ledger_set_time_zone(${zone}) as changed`.execute(
    query,
  )
  return rows[0]?.changed === true
}
