/** Fills the books with years of calls: rows of charges as a whole call leaves them, and the sums by day that belong to them. */
import type pg from 'pg'
import type { SeededPayer } from './seed.ts'

const CHUNK = 500_000
const USERS = 20
const MODELS = 8
const DAYS = 365

/** Indexes that every row would have to enter one by one; they are built again at the end, all at once. */
const INDEXES = `select indexdef, indexname from pg_indexes where schemaname = 'public' and tablename = 'credit_usage_attribution'
  and indexname not in (select conname from pg_constraint)`

/** @param progress told how many rows there are by now. */
export async function fillUsage(
  client: pg.Client,
  payers: readonly SeededPayer[],
  rows: number,
  progress: (filled: number) => void,
): Promise<void> {
  const { rows: indexes } = await client.query<{ indexdef: string; indexname: string }>(INDEXES)
  for (const { indexname } of indexes) await client.query(`drop index public.${indexname}`)
  // Neither triggers nor references: what they would do is done below, in one piece.
  await client.query('set session_replication_role = replica')
  await client.query(
    'create temp table payer as select * from unnest($1::uuid[]) with ordinality as t (org_id, place)',
    [payers.map(({ organizationId }) => organizationId)],
  )
  for (let filled = 0; filled < rows; filled += CHUNK) {
    progress(filled)
    await client.query(INSERT, [filled, Math.min(rows, filled + CHUNK), payers.length, rows])
  }
  await client.query('set session_replication_role = origin')
  progress(rows)
  for (const { indexdef } of indexes) await client.query(indexdef)
  await client.query(SUMS)
  await client.query(BALANCES)
  for (let moved = 1; moved > 0; ) {
    const { rows: [fold] = [] } = await client.query<{ moved: string }>('select tollgate.usage_fold(200000) as moved')
    moved = Number(fold?.moved ?? 0)
  }
  await client.query('vacuum analyze')
}

/** Of each organization twenty users, eight models and a year. */
const INSERT = `insert into credit_usage_attribution (call_id, org_id, user_id, credits_used, service_type, service_name, api_cost,
    markup_applied, created_at, source, provenance, outcome, details)
  select gen_random_uuid(), p.org_id, 'user-' || (n / $3) % ${USERS}, 0.1 + (n % 1000) / 1000000.0, 'llm_inference',
    'model-' || (n / 7) % ${MODELS}, (0.1 + (n % 1000) / 1000000.0) / 1000, 0,
    timestamptz '2030-01-01 00:00:00+00' + n / $4::float8 * interval '${DAYS} days', 'proxy', 'provider_usage', 'answered',
    jsonb_build_object('provider', 'openai', 'key_id', 'key-' || (n / $3) % ${USERS},
      'usage', jsonb_build_object('prompt_tokens', 100 + n % 50, 'completion_tokens', 40 + n % 30))
  from generate_series($1::bigint, $2::bigint - 1) n
  join payer p on p.place = n % $3 + 1`

const SUMS = `insert into tollgate.usage_deltas (day, org_id, user_id, service_type, model, provider, key_id, calls, failed_calls, credits,
    api_cost, input_tokens, cached_tokens, output_tokens)
  select (created_at at time zone 'UTC')::date, org_id, user_id, service_type, service_name, coalesce(details ->> 'provider', ''),
    coalesce(details ->> 'key_id', ''), count(*), 0, sum(credits_used), sum(api_cost),
    coalesce(sum((details -> 'usage' ->> 'prompt_tokens')::numeric), 0), 0,
    coalesce(sum((details -> 'usage' ->> 'completion_tokens')::numeric), 0)
  from credit_usage_attribution group by 1, 2, 3, 4, 5, 6, 7`

/** So that the books add up: what was used was bought and allocated before. */
const BALANCES = `with used as (select org_id, user_id, sum(credits_used) as credits from credit_usage_attribution
      where created_at >= '2030-01-01' group by 1, 2),
    allocated as (
      insert into user_credit_allocations (org_id, user_id, allocated_credits, used_credits, reset_period)
        select org_id, user_id, credits, credits, 'never' from used
        on conflict (org_id, user_id) do update
          set allocated_credits = user_credit_allocations.allocated_credits + excluded.allocated_credits,
            used_credits = user_credit_allocations.used_credits + excluded.used_credits),
    journal as (
      insert into tollgate.ledger_journal (kind, org_id, user_id, pool_total, pool_allocated, allocation_allocated, actor, created_at)
        select 'allocate', org_id, user_id, credits, credits, credits, 'bench', timestamptz '2029-12-31 00:00:00+00' from used)
  update organization_credit_pools p
    set total_credits = p.total_credits + u.credits, allocated_credits = p.allocated_credits + u.credits,
      used_credits = p.used_credits + u.credits
    from (select org_id, sum(credits) as credits from used group by 1) u where p.org_id = u.org_id`
