/**
 * Brings up to date what is due and nobody touches, so that reports and balances show it: resets of allocations, refreshes of pools,
 * periods of subscriptions. Calls do not wait for it: whatever touches an allocation does the same first. Safe to run on every replica,
 * at once: each row is looked at again under its lock, so everything is done once.
 */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

const AT_ONCE = 200

interface Due {
  org_id: string
  user_id: string
}

/** Returns how many pools and allocations were due. Each is a transaction of its own. */
export async function sweepPeriods({ query }: Pick<Database, 'query'>): Promise<number> {
  let last: Due = { org_id: '00000000-0000-0000-0000-000000000000', user_id: '' }
  for (let swept = 0; ; ) {
    const { rows } = await sql<Due>`
      select org_id, user_id from (
        select org_id, user_id from user_credit_allocations where next_reset_date <= tollgate.tollgate_now()
        union all
        select org_id, '' from organization_credit_pools where next_refresh_date <= tollgate.tollgate_now()) due
      where (org_id, user_id) > (${last.org_id}::uuid, ${last.user_id})
      order by org_id, user_id limit ${AT_ONCE}`.execute(query)
    for (const { org_id, user_id } of rows)
      await sql`select from tollgate.ledger_lock_and_refresh(${org_id}, ${user_id})`.execute(query)
    swept += rows.length
    const end = rows.at(-1)
    if (end === undefined || rows.length < AT_ONCE) return swept
    last = end
  }
}

/**
 * Plans that go on: their period is the one that now lies in, counted from the last one's end. Nobody is charged by that, for plans are
 * not paid for here; one that Stripe or Lago bills has the period that those tell. Returns how many.
 */
export async function renewSubscriptions({ query }: Pick<Database, 'query'>): Promise<number> {
  const { rows } = await sql`
    update organization_subscriptions s
    set current_period_start = s.current_period_end + n.past * n.length,
      current_period_end = s.current_period_end + (n.past + 1) * n.length
    from (
      select d.id, d.length, (
        select count(*)::integer - 1
        from generate_series(d.current_period_end, tollgate.tollgate_now(), d.length)) as past
      from (
        select o.id, o.current_period_end,
          case o.billing_cycle when 'yearly' then interval '1 year' else interval '30 days' end as length
        from organization_subscriptions o
        where o.status = 'active' and o.billing_cycle <> 'custom' and o.current_period_end <= tollgate.tollgate_now()
          and o.stripe_subscription_id is null and o.lago_subscription_id is null) d) n
    where s.id = n.id and s.status = 'active' and s.current_period_end <= tollgate.tollgate_now()
    returning 1`.execute(query)
  return rows.length
}
