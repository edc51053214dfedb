/** How consumers stand: for /metrics and `tollgate outbox list`. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

export interface ConsumerState {
  name: string
  sent: string
  sent_at: Date | null
  /** How long the oldest event waits that was not sent, or is not wanted and not passed over yet. */
  lag_seconds: number
  /** Organizations whose events wait behind one that was not taken. */
  blocked: number
  dead_letters: number
  last_error: string | null
}

/** @param names null: all that ever were. */
export async function readConsumers(
  { query }: Pick<Database, 'query'>,
  names: readonly string[] | null = null,
): Promise<ConsumerState[]> {
  const { rows } = await sql<ConsumerState>`
    select c.name, c.sent, c.sent_at, b.blocked, l.dead_letters, coalesce(b.last_error, l.last_error) as last_error,
      coalesce(greatest(0, extract(epoch from tollgate.tollgate_now() - least(w.created_at, b.since)))::float8, 0) as lag_seconds
    from tollgate.outbox_consumers c
    left join lateral (
      select min(e.created_at) as created_at
      from tollgate.outbox_read(c.sequence, c.source, c.row_id, c.sources, null, 1) e) w on true
    cross join lateral (
      select count(*)::integer as blocked, min(failing_since) as since, max(last_error) as last_error
      from tollgate.outbox_blocked where consumer = c.name) b
    cross join lateral (
      select count(*)::integer as dead_letters, max(last_error) as last_error
      from tollgate.outbox_letters where consumer = c.name and state = 'dead') l
    where ${names === null} or c.name = any(${names ?? []}::text[])
    order by c.name`.execute(query)
  return rows
}
