/** Removes the details of old charges, in batches so small that nobody waits for one. What they cost, whom and when is kept. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

const AT_ONCE = 1_000
/** A run of an hour: books that were never swept are through a million rows a day. */
const BATCHES_MAX = 50

/** @param days 0: for ever. Safe on every replica at once: one of them does it. */
export async function forgetDetails({ query }: Pick<Database, 'query'>, days: number): Promise<void> {
  if (days === 0) return
  for (let batch = 0; batch < BATCHES_MAX; batch += 1) {
    const { rows } = await sql<{ gone: number }>`
      select tollgate.forget_details(${days}, ${AT_ONCE}) as gone`.execute(query)
    if ((rows[0]?.gone ?? 0) < AT_ONCE) return
  }
}
