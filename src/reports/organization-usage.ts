/** What an organization used, by service and by user. Credits are decimal strings without trailing zeros. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

export interface OrganizationUsage {
  total_credits_used: string
  user_count: number
  services: { service_type: string; credits: string }[]
  /** At most ten, the largest first. */
  top_users: { user_id: string; total_credits: string; request_count: number }[]
  /** In UTC, as Ops-Center wrote them: without a zone. */
  date_range_start: string
  date_range_end: string
}

const NAIVE = sql.lit('YYYY-MM-DD"T"HH24:MI:SS.US')

export async function organizationUsage(
  database: Database,
  organizationId: string,
  days: number,
): Promise<OrganizationUsage> {
  const { rows } = await sql<OrganizationUsage>`
    with span as materialized (
        select tollgate.tollgate_now() - make_interval(days => ${days}::integer) as since, tollgate.tollgate_now() as until),
      used as materialized (
        select c.user_id, c.service_type, c.credits_used, c.entry from credit_usage_attribution c, span
        where c.org_id = ${organizationId} and c.created_at >= span.since),
      users as (
        select user_id, trim_scale(sum(credits_used))::text as total_credits, sum(credits_used) as credits,
          (count(*) filter (where entry = 'charge'))::int as request_count
        from used group by user_id order by credits desc, user_id limit 10)
    select (select coalesce(trim_scale(sum(credits_used)), 0)::text from used) as total_credits_used,
      (select count(distinct user_id)::int from used) as user_count,
      (select coalesce(json_agg(json_build_object('service_type', service_type, 'credits', credits) order by service_type), '[]')
        from (select service_type, trim_scale(sum(credits_used))::text as credits from used group by 1) s) as services,
      (select coalesce(json_agg(json_build_object('user_id', user_id, 'total_credits', total_credits,
          'request_count', request_count) order by credits desc, user_id), '[]') from users) as top_users,
      to_char(span.since at time zone 'UTC', ${NAIVE}) as date_range_start,
      to_char(span.until at time zone 'UTC', ${NAIVE}) as date_range_end
    from span`.execute(database.query)
  return rows[0]!
}
