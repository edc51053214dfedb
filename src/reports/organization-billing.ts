/** One organization at a glance: plan, pool, users, thirty days of use. Amounts are decimal strings. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'

export interface OrganizationBilling {
  organization: { id: string; name: string; display_name: string | null; max_seats: number; status: string }
  subscription: { plan: string; monthly_price: string; status: string; current_period_end: string | null } | null
  credit_pool: Record<(typeof POOL)[number], string> | null
  user_allocations: (Record<(typeof ALLOCATION)[number], string> & { user_id: string; reset_period: string })[]
  usage: { total_credits_used: string | null; active_users: number; total_requests: number }
}

const POOL = [
  'total_credits',
  'allocated_credits',
  'used_credits',
  'available_credits',
  'monthly_refresh_amount',
] as const
const ALLOCATION = ['allocated_credits', 'used_credits', 'remaining_credits'] as const

/** @returns null where there is no such organization. */
export async function organizationBilling(
  database: Database,
  organizationId: string,
): Promise<OrganizationBilling | null> {
  const { rows } = await sql<OrganizationBilling>`
    select json_build_object('id', o.id, 'name', o.name, 'display_name', o.display_name, 'max_seats', o.max_seats,
        'status', o.status) as organization,
      (select json_build_object('plan', s.subscription_plan, 'monthly_price', s.monthly_price::text, 'status', s.status,
          'current_period_end', ${isoTime('s.current_period_end')})
        from organization_subscriptions s where s.org_id = o.id and s.status in ('active', 'trialing')
        order by s.status = 'active' desc, s.created_at desc limit 1) as subscription,
      (select json_build_object('total_credits', p.total_credits::text, 'allocated_credits', p.allocated_credits::text,
          'used_credits', p.used_credits::text, 'available_credits', p.available_credits::text,
          'monthly_refresh_amount', p.monthly_refresh_amount::text)
        from organization_credit_pools p where p.org_id = o.id) as credit_pool,
      (select coalesce(json_agg(json_build_object('user_id', a.user_id, 'allocated_credits', a.allocated_credits::text,
          'used_credits', a.used_credits::text, 'remaining_credits', a.remaining_credits::text,
          'reset_period', a.reset_period) order by a.user_id), '[]')
        from user_credit_allocations a where a.org_id = o.id and a.is_active) as user_allocations,
      (select json_build_object('total_credits_used', trim_scale(sum(c.credits_used))::text,
          'active_users', count(distinct c.user_id), 'total_requests', count(*) filter (where c.entry = 'charge'))
        from credit_usage_attribution c
        where c.org_id = o.id and c.created_at >= tollgate.tollgate_now() - interval '30 days') as usage
    from organizations o where o.id = ${organizationId} and o.status <> 'deleted'`.execute(database.query)
  return rows[0] ?? null
}
