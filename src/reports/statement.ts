/**
 * The statement of an organization for a month: what it had, what came in, what was charged, what it has. It adds up exactly, because
 * every line is a sum of rows that the audit compares with the balance: the pool's credits less all charges.
 */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

/** Credits and dollars are decimal strings. */
export interface Statement {
  /** What the organization owned when the month began and when it ended (or now): credits bought and not yet charged. */
  opening_balance: string
  closing_balance: string
  /** Movements that change what the organization owns. */
  purchases: string
  refreshes: string
  refunds: string
  /** Given back where a call had been booked at too high a price. */
  corrections: string
  charges: string
  /** Dollars paid for the purchases. */
  paid: string
  /** Credits that resets gave to allocations again: from the pool, so the balance stays. */
  resets: string
  charges_by_user: StatementLine[]
  charges_by_model: StatementLine[]
}

export interface StatementLine {
  name: string
  calls: string
  credits: string
}

/** @param month its first day in UTC, `2026-11-01`. */
export async function monthlyStatement(database: Database, organizationId: string, month: string): Promise<Statement> {
  const { rows } = await sql<Statement>`
    with span as materialized (
        select ${month}::date as first, (${month}::date + interval '1 month')::date as next,
          ${month}::timestamp at time zone 'UTC' as since, (${month}::timestamp + interval '1 month') at time zone 'UTC' as until),
      before as (
        select coalesce((select sum(j.pool_total) from tollgate.ledger_journal j
            where j.org_id = ${organizationId} and j.created_at < span.since), 0)
          - coalesce((select sum(u.credits) from tollgate.usage_by_organization u
            where u.org_id = ${organizationId} and u.day < span.first), 0) as balance
        from span),
      moved as (
        select coalesce(sum(j.pool_total) filter (where j.kind = 'purchase'), 0) as purchases,
          coalesce(sum(j.pool_total) filter (where j.kind = 'refresh'), 0) as refreshes,
          coalesce(sum(j.pool_total) filter (where j.kind = 'refund'), 0) as refunds,
          coalesce(sum(j.pool_total) filter (where j.kind = 'correction'), 0) as corrections,
          coalesce(sum(j.pool_total), 0) as total, coalesce(sum(j.paid), 0) as paid,
          coalesce(-sum(j.allocation_used) filter (where j.kind = 'reset'), 0) as resets
        from tollgate.ledger_journal j, span
        where j.org_id = ${organizationId} and j.created_at >= span.since and j.created_at < span.until),
      used as materialized (
        select u.user_id, u.model, sum(u.calls) as calls, sum(u.credits) as credits
        from tollgate.usage_by_user u, span
        where u.org_id = ${organizationId} and u.day >= span.first and u.day < span.next group by 1, 2),
      charged as (select coalesce(sum(credits), 0) as credits from used),
      by_user as (select user_id as name, sum(calls) as calls, sum(credits) as credits from used group by 1),
      by_model as (select model as name, sum(calls) as calls, sum(credits) as credits from used group by 1)
    select trim_scale(before.balance)::text as opening_balance,
      trim_scale(before.balance + moved.total - charged.credits)::text as closing_balance,
      trim_scale(moved.purchases)::text as purchases, trim_scale(moved.refreshes)::text as refreshes,
      trim_scale(moved.refunds)::text as refunds, trim_scale(moved.corrections)::text as corrections,
      trim_scale(charged.credits)::text as charges, moved.paid::text as paid, trim_scale(moved.resets)::text as resets,
      ${linesOf('by_user')} as charges_by_user, ${linesOf('by_model')} as charges_by_model
    from before, moved, charged`.execute(database.query)
  return rows[0]!
}

/** The most expensive first. */
function linesOf(table: 'by_user' | 'by_model') {
  return sql`(select coalesce(json_agg(json_build_object('name', name, 'calls', calls::text, 'credits', trim_scale(credits)::text)
    order by credits desc, name collate "C"), '[]') from ${sql.table(table)})`
}
