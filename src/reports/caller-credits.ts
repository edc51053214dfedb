/** What a caller may spend, has spent and was given. Credits are decimal strings, times ISO 8601. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'

export interface Payer {
  organizationId: string
  userId: string
}

export interface Transaction {
  id: string
  /** Negative for what was spent. */
  amount: string
  transaction_type: 'usage' | 'allocation' | 'reset' | 'refund' | 'adjustment'
  provider: string | null
  model: string | null
  service_type: string | null
  tokens_used: number | null
  request_id: string | null
  session_id: string | null
  note: string | null
  created_at: string
}

/**
 * What can be spent now: without what running calls hold, a reset that is due counted, and what nobody was given of a pool that the
 * allocation follows.
 */
const REMAINING = sql`(c.allocation).allocated_credits - (c.allocation).used_credits - (c.allocation).held_credits
  + case when a.follows_pool then (c.pool).total_credits - (c.pool).allocated_credits else 0 end`

/** An allocation as it is now, and its pool. */
function ofPayer({ organizationId, userId }: Payer) {
  return sql`organization_credit_pools p
    join user_credit_allocations a on a.org_id = p.org_id and a.user_id = ${userId} and a.is_active
    cross join lateral tollgate.ledger_brought_up_to_date(p, a, tollgate.tollgate_now()) c
    where p.org_id = ${organizationId}`
}

/** @returns null without an allocation. */
export async function findRemaining({ query }: Pick<Database, 'query'>, payer: Payer): Promise<string | null> {
  const { rows } = await sql<{ remaining: string }>`
    select trim_scale(${REMAINING})::text as remaining from ${ofPayer(payer)}`.execute(query)
  return rows[0]?.remaining ?? null
}

/** Times are ISO 8601. */
export interface Balance {
  remaining: string
  allocated: string
  last_reset: string
  updated_at: string
  created_at: string
}

/** The same as `findRemaining`, with what the allocation is. @returns null without one. */
export async function findBalance({ query }: Pick<Database, 'query'>, payer: Payer): Promise<Balance | null> {
  const { rows } = await sql<Balance>`
    select (${REMAINING})::text as remaining, (c.allocation).allocated_credits::text as allocated,
      ${isoTime('(c.allocation).last_reset_date')} as last_reset, ${isoTime('(c.allocation).updated_at')} as updated_at,
      ${isoTime('(c.allocation).created_at')} as created_at
    from ${ofPayer(payer)}`.execute(query)
  return rows[0] ?? null
}

/** Every row of the books that is about the user, the newest first. */
export async function listTransactions(
  database: Database,
  { organizationId, userId }: Payer,
  { limit, offset, session }: { limit: number; offset: number; session: string | null },
): Promise<Transaction[]> {
  const { rows } = await sql<Transaction>`
    select id, trim_scale(amount)::text as amount, transaction_type, provider, model, service_type, tokens_used, request_id, session_id, note,
      ${isoTime('at')} as created_at
    from (
      select c.id::text as id, -c.credits_used as amount, case c.entry when 'charge' then 'usage' else 'adjustment' end as transaction_type,
        c.details ->> 'provider' as provider, c.service_name as model, c.service_type,
        (c.details -> 'usage' ->> 'total_tokens')::float8 as tokens_used,
        c.request_id, c.details ->> 'session_id' as session_id, null::text as note, c.created_at as at
      from credit_usage_attribution c where c.org_id = ${organizationId} and c.user_id = ${userId} ${ofSession(session)}
      union all
      select 'journal-' || j.id, case j.kind when 'reset' then -j.allocation_used else j.allocation_allocated end,
        case j.kind when 'allocate' then 'allocation' when 'correction' then 'adjustment' else j.kind end,
        null, null, null, null::float8, j.call_id::text, null, j.note, j.created_at
      from tollgate.ledger_journal j where j.org_id = ${organizationId} and j.user_id = ${userId} and ${session}::text is null) t
    order by at desc, id limit ${limit} offset ${offset}`.execute(database.query)
  return rows
}

/** Of the calls of one session. */
function ofSession(session: string | null) {
  return session === null ? sql`` : sql`and c.details ->> 'session_id' = ${session}`
}

export async function countTransactions(
  database: Database,
  { organizationId, userId }: Payer,
  session: string | null,
): Promise<number> {
  const { rows } = await sql<{ total: number }>`
    select ((select count(*) from credit_usage_attribution c where org_id = ${organizationId} and user_id = ${userId} ${ofSession(session)})
      + (select count(*) from tollgate.ledger_journal
        where org_id = ${organizationId} and user_id = ${userId} and ${session}::text is null))::int as total`.execute(
    database.query,
  )
  return rows[0]!.total
}
