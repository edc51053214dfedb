/** Organizations that spend far more today than they use to are told of, once a day: outbox_note_unusual says what that is. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

/** Returns how many are told of now. Safe to run on every replica. */
export async function noteUnusualSpending({ query }: Pick<Database, 'query'>): Promise<number> {
  const { rows } = await sql<{ noted: string }>`select tollgate.outbox_note_unusual() as noted`.execute(query)
  return Number(rows[0]!.noted)
}
