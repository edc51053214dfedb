/** All organizations at a glance, for the operator: what they pay and use. Amounts are decimal strings. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

export interface SystemOrganization {
  org_id: string
  org_name: string
  subscription_plan: string | null
  monthly_price: string
  subscription_status: string | null
  total_credits: string
  used_credits: string
  member_count: number
  lifetime_spent: string
}

export interface SystemBilling {
  organizations: SystemOrganization[]
  revenue: { mrr: string; arr: string; active: number }
  plans: { plan: string; count: number; mrr: string }[]
  /** At most ten, the largest use of thirty days first. */
  top: { org_id: string; credits: string; user_count: number }[]
}

/** A trial pays nothing yet. */
const PAYING = sql`status = 'active'`

export async function systemBilling({ query }: Database): Promise<SystemBilling> {
  const organizations = await sql<SystemOrganization>`
    select o.id as org_id, o.name as org_name, s.subscription_plan, coalesce(s.monthly_price, 0)::text as monthly_price,
      s.status as subscription_status, coalesce(p.total_credits, 0)::text as total_credits,
      coalesce(p.used_credits, 0)::text as used_credits,
      (select count(*)::int from organization_members m where m.org_id = o.id) as member_count,
      coalesce(p.lifetime_spent_amount, 0)::text as lifetime_spent
    from organizations o
    left join organization_credit_pools p on p.org_id = o.id
    left join lateral (
      select subscription_plan, monthly_price, status from organization_subscriptions
      where org_id = o.id and status in ('active', 'trialing') order by status = 'active' desc, created_at desc limit 1) s on true
    where o.status = 'active' order by o.name`.execute(query)
  const plans = await sql<SystemBilling['plans'][number]>`
    select subscription_plan as plan, count(*)::int as count, sum(monthly_price)::text as mrr
    from organization_subscriptions where ${PAYING} group by 1 order by 1`.execute(query)
  const revenue = await sql<SystemBilling['revenue']>`
    select coalesce(sum(monthly_price), 0)::text as mrr, (12 * coalesce(sum(monthly_price), 0))::text as arr, count(*)::int as active
    from organization_subscriptions where ${PAYING}`.execute(query)
  const top = await sql<SystemBilling['top'][number]>`
    select org_id, trim_scale(sum(credits_used))::text as credits, count(distinct user_id)::int as user_count
    from credit_usage_attribution where created_at >= tollgate.tollgate_now() - interval '30 days'
    group by org_id order by sum(credits_used) desc, org_id limit 10`.execute(query)
  return { organizations: organizations.rows, revenue: revenue.rows[0]!, plans: plans.rows, top: top.rows }
}
