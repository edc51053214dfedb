/** The rows of limits that bound a caller's calls and credits, as they are now. Amounts are decimal strings, times ISO 8601. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'

export interface LimitState {
  kind: string
  id: string
  /** Null where the row only counts. */
  limit_amount: string | null
  used: string
  /** By running calls. */
  held: string
  /** Null for a limit of all time. */
  window_end: string | null
}

/** The present window of each limit; none for a limit that was not used in it. */
export async function limitsOf(
  { query }: Database,
  limits: readonly { kind: string; id: string }[],
): Promise<LimitState[]> {
  if (limits.length === 0) return []
  const kinds = limits.map(({ kind }) => kind)
  const ids = limits.map(({ id }) => id)
  const { rows } = await sql<LimitState>`
    select l.kind, l.id, trim_scale(l.limit_amount)::text as limit_amount, trim_scale(l.used)::text as used,
      trim_scale(l.held)::text as held, ${isoTime('l.window_end')} as window_end
    from unnest(${kinds}::text[], ${ids}::text[]) as a(kind, id)
    join tollgate.ledger_limits l on l.kind = a.kind and l.id = a.id
    where l.window_end is null or l.window_end > tollgate.tollgate_now()`.execute(query)
  return rows
}
