/** The organizations of a user, what the user may spend in each and has used. Amounts are decimal strings. */
import { sql } from 'kysely'
import type { MemberRole } from '../billing/members.ts'
import type { Plan } from '../config/config.ts'
import type { Database } from '../db/connect.ts'

export interface UserOrganization {
  org_id: string
  org_name: string
  role: MemberRole
  subscription_plan: Plan | null
  monthly_price: string
  allocated_credits: string
  used_credits: string
  remaining_credits: string
}

export interface UsageOf30Days {
  /** Null where there was none. */
  total_credits_used: string | null
  org_count: number
  request_count: number
}

/** Active ones, by name. @param within only these, by id. */
export async function listUserOrganizations(
  database: Database,
  userId: string,
  within: readonly string[],
): Promise<UserOrganization[]> {
  const { rows } = await sql<UserOrganization>`
    select o.id as org_id, o.name as org_name, m.role, s.subscription_plan, coalesce(s.monthly_price, 0)::text as monthly_price,
      coalesce(a.allocated_credits, 0)::text as allocated_credits, coalesce(a.used_credits, 0)::text as used_credits,
      coalesce(a.remaining_credits, 0)::text as remaining_credits
    from organization_members m
    join organizations o on o.id = m.org_id
    left join user_credit_allocations a on a.org_id = m.org_id and a.user_id = m.user_id and a.is_active
    left join lateral (
      select subscription_plan, monthly_price from organization_subscriptions
      where org_id = o.id and status in ('active', 'trialing') order by status = 'active' desc, created_at desc limit 1) s on true
    where m.user_id = ${userId} and o.status = 'active' and o.id = any(${within}::uuid[])
    order by o.name`.execute(database.query)
  return rows
}

/** @param within only in these organizations, by id. */
export async function usageOf30Days(
  database: Database,
  userId: string,
  within: readonly string[],
): Promise<UsageOf30Days> {
  const { rows } = await sql<UsageOf30Days>`
    select trim_scale(sum(credits_used))::text as total_credits_used, count(distinct org_id)::int as org_count,
      (count(*) filter (where entry = 'charge'))::int as request_count
    from credit_usage_attribution
    where user_id = ${userId} and created_at >= tollgate.tollgate_now() - interval '30 days'
      and org_id = any(${within}::uuid[])`.execute(database.query)
  return rows[0]!
}
