/**
 * What calls cost, from the books: corrections are counted, refunds are not. Credits are decimal strings. A caller sees their own
 * organization, a system administrator all of them.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import type { Caller } from '../identity/caller.ts'

/** Null: any. Times are ISO 8601. */
export interface SpendFilter {
  since: string | null
  /** Not included. */
  until: string | null
  /** The id or the SHA-256 of a key. */
  key: string | null
  userId: string | null
  team: string | null
  customer: string | null
  model: string | null
  /** Of the call, or as its caller named the request. */
  requestId: string | null
  outcome: 'success' | 'failure' | null
}

export const ANY_SPEND: SpendFilter = {
  since: null,
  until: null,
  key: null,
  userId: null,
  team: null,
  customer: null,
  model: null,
  requestId: null,
  outcome: null,
}

export interface SpendRow {
  call_id: string
  org_id: string
  user_id: string
  service_type: string
  model: string | null
  request_id: string | null
  outcome: string | null
  details: Record<string, unknown> | null
  /** With microseconds. */
  created_at: string
  /** SHA-256; null for a call that was made without a stored key. */
  key_hash: string | null
  key_alias: string | null
  credits: string
}

/** Where a page ends: the next one begins after it. */
export interface SpendCursor {
  at: string
  callId: string
}

function scope({ role, organizationId }: Caller): RawBuilder<unknown> {
  return role === 'system_admin' ? sql`true` : sql`c.org_id = ${organizationId}`
}

function matching(filter: SpendFilter): RawBuilder<unknown> {
  const { since, until, key, userId, team, customer, model, requestId, outcome } = filter
  return sql`(${since}::timestamptz is null or c.created_at >= ${since}::timestamptz)
    and (${until}::timestamptz is null or c.created_at < ${until}::timestamptz)
    and (${key}::text is null or k.id::text = ${key} or encode(k.key_hash, 'hex') = ${key})
    and (${userId}::text is null or c.user_id = ${userId})
    and (${team}::text is null or c.details ->> 'team' = ${team})
    and (${customer}::text is null or c.details ->> 'customer' = ${customer})
    and (${model}::text is null or c.service_name = ${model})
    and (${requestId}::text is null or c.call_id::text = ${requestId} or c.request_id = ${requestId})
    and (${outcome}::text is null or (c.outcome = 'failed') = (${outcome} = 'failure'))`
}

const CALLS = sql`credit_usage_attribution c
  left join tollgate.api_keys k on k.id::text = c.details ->> 'key_id'
  cross join lateral tollgate.ledger_booked(c.call_id) b`

/** The newest first. @param after null: from the newest on. */
export async function spendRows(
  database: Database,
  caller: Caller,
  filter: SpendFilter,
  page: { limit: number; offset: number; after: SpendCursor | null },
): Promise<SpendRow[]> {
  const { limit, offset, after } = page
  const { rows } = await sql<SpendRow>`
    select c.call_id, c.org_id, c.user_id, c.service_type, c.service_name as model, c.request_id, c.outcome, c.details,
      to_char(c.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at,
      encode(k.key_hash, 'hex') as key_hash, k.name as key_alias, b.credits::text as credits
    from ${CALLS}
    where c.entry = 'charge' and c.source = 'proxy' and ${scope(caller)} and ${matching(filter)}
      and (${after?.at ?? null}::timestamptz is null
        or (c.created_at, c.call_id) < (${after?.at ?? null}::timestamptz, ${after?.callId ?? null}::uuid))
    order by c.created_at desc, c.call_id desc
    limit ${limit} offset ${offset}`.execute(database.query)
  return rows
}

export async function countSpend(database: Database, caller: Caller, filter: SpendFilter): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from credit_usage_attribution c
    left join tollgate.api_keys k on k.id::text = c.details ->> 'key_id'
    where c.entry = 'charge' and c.source = 'proxy' and ${scope(caller)} and ${matching(filter)}`.execute(
    database.query,
  )
  return rows[0]!.count
}

/** What spending is summed by. */
const DIMENSIONS = {
  day: sql`to_char(c.created_at at time zone 'UTC', 'YYYY-MM-DD')`,
  key: sql`encode(k.key_hash, 'hex')`,
  user: sql`c.user_id`,
  team: sql`c.details ->> 'team'`,
  customer: sql`c.details ->> 'customer'`,
  model: sql`c.service_name`,
  provider: sql`c.details ->> 'provider'`,
  tag: sql`t.tag`,
} as const
export type Dimension = keyof typeof DIMENSIONS

export interface SpendSum {
  /** Null: calls that have none. */
  name: string | null
  /** Of a key. */
  alias: string | null
  credits: string
  calls: number
  failed: number
  prompt_tokens: number
  completion_tokens: number
  cached_tokens: number
}

/** The largest first; days in their order. A call with several tags counts for each of them. */
export async function spendBy(
  database: Database,
  caller: Caller,
  dimension: Dimension,
  filter: SpendFilter,
  limit = 1_000,
): Promise<SpendSum[]> {
  const tags = sql`cross join lateral jsonb_array_elements_text(
    case when jsonb_typeof(c.details -> 'tags') = 'array' then c.details -> 'tags' else '[]' end) as t(tag)`
  const { rows } = await sql<SpendSum>`
    select ${DIMENSIONS[dimension]} as name, ${dimension === 'key' ? sql`max(k.name)` : sql`null`} as alias,
      sum(b.credits)::text as credits, count(*)::int as calls, (count(*) filter (where c.outcome = 'failed'))::int as failed,
      coalesce(sum((c.details -> 'usage' ->> 'prompt_tokens')::numeric), 0)::float as prompt_tokens,
      coalesce(sum((c.details -> 'usage' ->> 'completion_tokens')::numeric), 0)::float as completion_tokens,
      coalesce(sum((c.details -> 'usage' -> 'prompt_tokens_details' ->> 'cached_tokens')::numeric), 0)::float as cached_tokens
    from ${CALLS} ${dimension === 'tag' ? tags : sql``}
    where c.entry = 'charge' and c.source = 'proxy' and ${scope(caller)} and ${matching(filter)}
    group by 1
    order by ${dimension === 'day' ? sql`1` : sql`sum(b.credits) desc, 1`}
    limit ${limit}`.execute(database.query)
  return rows
}

/** Ever. */
export async function totalSpend(database: Database, caller: Caller): Promise<string> {
  const { rows } = await sql<{ credits: string }>`
    select (coalesce(sum(c.used_credits), 0) - coalesce((
      select sum(j.allocation_allocated) from tollgate.ledger_journal j
      where j.kind = 'correction' and (${caller.role === 'system_admin'} or j.org_id = ${caller.organizationId})), 0))::text as credits
    from organization_credit_pools c where ${scope(caller)}`.execute(database.query)
  return rows[0]!.credits
}
