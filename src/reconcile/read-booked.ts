/**
 * What the books say of calls that a provider billed to the operator: sums by day, model and deployment, and calls whose cost at the
 * provider is not certain, with the range in which the true cost may differ from what is booked. Calls under keys of callers are theirs.
 */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { dayAfter, OTHER, type Span } from './bill.ts'

export const DOUBTS = {
  disputed: 'the provider stated the impossible, and it is not settled',
  unknown_outcome: 'went out, and nobody knows its end',
  recovered: 'its process died; charged at the last checkpoint',
  abandoned: 'a stream that was left; what the provider bills beyond it was estimated',
  estimated: 'the provider stated no usage; counted here',
  provider_tools: 'used tools of the provider, which it may bill on a line of their own',
  around_midnight: 'ended or ran at midnight (UTC), so the provider may count it on the day beside',
} as const
export type Doubt = keyof typeof DOUBTS

export interface BookedLine {
  day: string
  model: string
  deployment: string
  calls: number
  api_cost: string
}

export interface DoubtfulCalls {
  day: string
  /** Null where nobody noted which model of this provider was called. */
  model: string | null
  deployment: string
  doubt: Doubt
  calls: number
  /** Dollars that the bill may differ from the books by because of them: at least (not above 0), at most (not below 0). */
  least: string
  most: string
  /** The dearest ones. */
  call_ids: string[]
}

export interface BookedQuestion {
  provider: string
  span: Span
  /** Of calls whose rows name a deployment alone: those that were recovered. */
  deployments: readonly { deployment: string; provider: string; model: string }[]
  /** Whether the bill has lines of no model. */
  hasOther: boolean
}

const SHOWN = 20
const MIDNIGHT = '5 minutes'

export async function readBooked(
  { query }: Pick<Database, 'query'>,
  question: BookedQuestion,
): Promise<{ lines: BookedLine[]; doubtful: DoubtfulCalls[] }> {
  const calls = callsOf(question)
  const { from, to } = question.span
  return query
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (snapshot) => {
      const lines = await sql<BookedLine>`
      with ${calls}
      select day::text, model, deployment, count(*)::integer as calls, sum(api_cost)::text as api_cost
      from calls where is_ours and day between ${from}::date and ${to}::date group by 1, 2, 3 order by 1, 2, 3`.execute(
        snapshot,
      )
      const doubtful = await sql<DoubtfulCalls>`
      with ${calls},
        doubtful as (
          select c.*, case when is_disputed then 'disputed' when at_risk > 0 then 'unknown_outcome'
              when outcome = 'recovered' and not is_corrected then 'recovered'
              when provenance = 'estimated' and outcome in ('client_disconnected', 'cut_off', 'stopped') then 'abandoned'
              when provenance = 'estimated' then 'estimated'
              when has_tools and ${question.hasOther} then 'provider_tools'
              when other_day is not null then 'around_midnight' end as doubt
          from calls c),
        entries as (
          select day, case when is_ours then model end as model, deployment, doubt, call_id,
            case when doubt = 'unknown_outcome' then 0 else -api_cost end as least,
            case doubt when 'unknown_outcome' then at_risk when 'recovered' then greatest(held / 1000 - api_cost, 0)
              when 'abandoned' then greatest(held / 1000 - api_cost, 0) when 'estimated' then greatest(held / 1000 - api_cost, 0)
              else 0 end as most
          from doubtful where doubt is not null
          union all
          select other_day, model, deployment, 'around_midnight', call_id, 0, api_cost
          from doubtful where other_day is not null and is_ours and api_cost > 0
          union all
          select day, ${OTHER}, '', 'provider_tools', call_id, 0, api_cost
          from doubtful where has_tools and is_ours and ${question.hasOther})
      select day::text, model, deployment, doubt, count(*)::integer as calls, sum(least)::text as least, sum(most)::text as most,
        (array_agg(call_id::text order by greatest(most, -least) desc, call_id))[1:${sql.lit(SHOWN)}] as call_ids
      from entries where day between ${from}::date and ${to}::date and (least <> 0 or most <> 0)
      group by 1, 2, 3, 4 order by 1, 2, 3, 4`.execute(snapshot)
      return { lines: lines.rows, doubtful: doubtful.rows }
    })
}

/** One row a call, at the day of its charge: corrections belong to the day on which the provider had the call. */
function callsOf({ provider, span, deployments }: BookedQuestion) {
  const [from, until] = [span.from, dayAfter(span.to)]
  return sql`
    known as (
      select * from jsonb_to_recordset(${JSON.stringify(deployments)}::jsonb) as d(deployment text, provider text, model text)),
    calls as (
      select c.call_id, c.day, c.model, c.deployment, c.api_cost, c.provenance, c.outcome, c.held, c.at_risk, c.is_corrected,
        c.is_disputed, c.has_tools, c.is_ours,
        case when (c.started_at at time zone 'UTC')::date < c.day or (c.at - interval ${sql.lit(MIDNIGHT)})::date < c.day then c.day - 1
          when (c.at + interval ${sql.lit(MIDNIGHT)})::date > c.day then c.day + 1 end as other_day
      from (
        select a.call_id, a.created_at at time zone 'UTC' as at, (a.created_at at time zone 'UTC')::date as day,
          coalesce(a.details ->> 'served_model', a.details ->> 'upstream_model', k.model, a.service_name, '') as model,
          coalesce(a.details ->> 'deployment', '') as deployment, a.api_cost + coalesce(x.api_cost, 0) as api_cost, a.provenance, a.outcome,
          coalesce((a.details ->> 'held')::numeric,
            (select h.held_credits from tollgate.ledger_holds h where h.call_id = a.call_id), 0) as held,
          coalesce((a.details -> 'at_risk' ->> ${provider})::numeric, 0) as at_risk,
          coalesce(x.is_settled, false) as is_corrected, a.provenance = 'disputed' and coalesce(x.is_open, true) as is_disputed,
          coalesce(a.details -> 'tool_uses', '{}') not in ('{}', 'null') as has_tools,
          coalesce(a.details ->> 'provider', k.provider) is not distinct from ${provider} as is_ours,
          a.created_at - coalesce((a.details ->> 'duration_ms')::numeric, 0) * interval '1 millisecond' as started_at
        from public.credit_usage_attribution a
        left join known k on k.deployment = a.details ->> 'deployment'
        left join lateral (
          select sum(r.api_cost) as api_cost, bool_or(r.cause = 'recovery' and r.provenance <> 'estimated') as is_settled,
            not coalesce(bool_or(r.cause = 'dispute'), false) and not exists (
              select 1 from tollgate.ledger_journal j where j.call_id = a.call_id and j.kind = 'correction' and j.cause = 'dispute') as is_open
          from public.credit_usage_attribution r where r.call_id = a.call_id and r.entry = 'correction')
          x on a.provenance = 'disputed' or a.outcome = 'recovered'
        where a.entry = 'charge' and a.source = 'proxy' and a.details ->> 'byok' is distinct from 'true'
          and a.created_at >= (${from}::timestamp at time zone 'UTC') - interval '1 day'
          and a.created_at < (${until}::timestamp at time zone 'UTC') + interval '1 day'
          and (coalesce(a.details ->> 'provider', k.provider) = ${provider} or a.details -> 'at_risk' ? ${provider})) c)`
}
