/**
 * What the operator may owe providers beyond what callers were charged, by day and provider: calls whose end nobody knows, at the most
 * they can cost, and open disputes, at what the provider stated above the charge. Dollars are decimal strings.
 */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

export interface MoneyAtRisk {
  /** In UTC, `2026-11-30`. */
  day: string
  provider: string
  unknown_calls: number
  unknown_dollars: string
  open_disputes: number
  disputed_dollars: string
}

/** @param span days in UTC; `until` is the day after the last one. */
export async function moneyAtRisk(
  { query }: Pick<Database, 'query'>,
  span: { from: string; until: string },
): Promise<MoneyAtRisk[]> {
  const inSpan = sql`c.created_at >= ${span.from}::timestamp at time zone 'UTC' and c.created_at < ${span.until}::timestamp at time zone 'UTC'`
  const { rows } = await sql<MoneyAtRisk>`
    with unknown as (
        select (c.created_at at time zone 'UTC')::date as day, r.key as provider, count(*)::integer as calls, sum(r.value::numeric) as dollars
        from credit_usage_attribution c cross join lateral jsonb_each_text(c.details -> 'at_risk') r
        where c.details ? 'at_risk' and ${inSpan} group by 1, 2),
      disputed as (
        select (c.created_at at time zone 'UTC')::date as day, coalesce(c.details ->> 'provider', '') as provider,
          count(*)::integer as disputes, sum(greatest(b.api_cost - b.credits / 1000, 0)) as dollars
        from credit_usage_attribution c cross join lateral tollgate.ledger_booked(c.call_id) b
        where c.provenance = 'disputed' and c.cause <> 'dispute' and not 'dispute' = any(b.corrected) and ${inSpan} group by 1, 2)
    select day::text, provider, coalesce(u.calls, 0) as unknown_calls, trim_scale(coalesce(u.dollars, 0))::text as unknown_dollars,
      coalesce(d.disputes, 0) as open_disputes, trim_scale(coalesce(d.dollars, 0))::text as disputed_dollars
    from unknown u full join disputed d using (day, provider)
    order by day desc, provider collate "C"`.execute(query)
  return rows
}
