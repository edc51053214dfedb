/** Moves what charges added to the sums by day into the sums. Reports are exact without it; it keeps them fast. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

/** How many parts one transaction moves: about 100 ms of work. */
const PARTS = 5_000

/** Moves what is there. Does nothing while another process does it. */
export async function foldUsage({ query }: Pick<Database, 'query'>): Promise<void> {
  for (let moved = PARTS; moved >= PARTS; ) {
    const { rows } = await sql<{ moved: string }>`select tollgate.usage_fold(${PARTS}) as moved`.execute(query)
    moved = Number(rows[0]!.moved)
  }
}
