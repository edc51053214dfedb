/** How many holds are open in the whole ledger and how old the oldest is: reads the open ones only, by their partial index. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

export interface OpenHolds {
  count: number
  /** 0 where there is none. */
  oldestSeconds: number
}

/** @throws when the database can't respond. */
export async function readOpenHolds({ query }: Database): Promise<OpenHolds> {
  const { rows } = await sql<{ count: number; seconds: number }>`
    select count(*)::integer as count,
      coalesce(greatest(extract(epoch from tollgate.tollgate_now() - min(created_at)), 0), 0)::float8 as seconds
    from tollgate.ledger_holds where state = 'open'`.execute(query)
  return { count: rows[0]?.count ?? 0, oldestSeconds: rows[0]?.seconds ?? 0 }
}
