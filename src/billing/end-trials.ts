/**
 * A trial that is over becomes the plan it was a trial of, from the moment it was to end: its price counts from then on. Nobody is
 * charged by that, for plans are not paid for here; who does not want the plan cancels it. Safe to run on every replica.
 */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

/** Returns how many ended. One that stands beside an active plan, which only SQL can make, is left. */
export async function endTrials({ query }: Pick<Database, 'query'>): Promise<number> {
  const { rows } = await sql`
    update organization_subscriptions s
    set status = 'active', current_period_start = s.trial_ends_at,
      current_period_end = s.trial_ends_at + case s.billing_cycle when 'yearly' then interval '1 year' else interval '30 days' end
    where s.status = 'trialing' and s.trial_ends_at <= tollgate.tollgate_now()
      and not exists (select from organization_subscriptions o where o.org_id = s.org_id and o.status = 'active')
      and s.id = (select t.id from organization_subscriptions t where t.org_id = s.org_id and t.status = 'trialing'
        and t.trial_ends_at <= tollgate.tollgate_now() order by t.created_at desc, t.id limit 1)
    returning 1`.execute(query)
  return rows.length
}
