/** Events that are no rows of the books are kept for a time (`tollgate.events_days`), sent or not. The books themselves are kept. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

const AT_ONCE = 10_000

/** The oldest first, so that it is short however long nobody did it. */
export async function forgetOldEvents({ query }: Pick<Database, 'query'>, days: number): Promise<void> {
  await sql`
    delete from tollgate.outbox_events where id in (
      select id from tollgate.outbox_events where created_at < tollgate.tollgate_now() - make_interval(days => ${days})
      order by created_at limit ${AT_ONCE})`.execute(query)
}
