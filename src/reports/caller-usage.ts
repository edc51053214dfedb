/** What a caller's LLM calls used in some days, by provider. Credits are decimal strings. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import type { Payer } from './caller-credits.ts'

export interface ProviderUsage {
  provider: string
  requests: number
  tokens: string
  cost: string
  avg_latency_ms: number | null
  unique_users: number
}

export interface CallerUsage {
  total_requests: number
  total_tokens: string
  total_cost: string
  active_models: number
  providers: ProviderUsage[]
}

export async function callerUsage(
  database: Database,
  { organizationId, userId }: Payer,
  days: number,
): Promise<CallerUsage> {
  const { rows } = await sql<CallerUsage>`
    with used as materialized (
        select coalesce(c.details ->> 'provider', 'unknown') as provider, c.service_name as model, c.credits_used, c.user_id,
          c.entry = 'charge' as is_call, (c.details -> 'usage' ->> 'total_tokens')::numeric as tokens, (c.details ->> 'duration_ms')::numeric as duration
        from credit_usage_attribution c
        where c.org_id = ${organizationId} and c.user_id = ${userId} and c.source = 'proxy'
          and c.created_at >= tollgate.tollgate_now() - make_interval(days => ${days}::integer)),
      providers as (
        select provider, (count(*) filter (where is_call))::int as requests, coalesce(sum(tokens), 0)::text as tokens,
          trim_scale(sum(credits_used))::text as cost, round(avg(duration))::int as avg_latency_ms,
          count(distinct user_id)::int as unique_users, sum(credits_used) as credits
        from used group by provider)
    select (count(*) filter (where is_call))::int as total_requests, coalesce(sum(tokens), 0)::text as total_tokens,
      coalesce(trim_scale(sum(credits_used)), 0)::text as total_cost, count(distinct model)::int as active_models,
      (select coalesce(json_agg(json_build_object('provider', provider, 'requests', requests, 'tokens', tokens, 'cost', cost,
        'avg_latency_ms', avg_latency_ms, 'unique_users', unique_users) order by credits desc, provider), '[]') from providers) as providers
    from used`.execute(database.query)
  return rows[0]!
}
