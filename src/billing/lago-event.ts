/**
 * What a webhook of Lago does to plans. They come twice, late and in any order: each is noted as what it says of its subscription, and
 * the newest subscription of an organization is its plan. One that ended stays ended.
 */
import { sql } from 'kysely'
import type { BillingSettings, Plan } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import { isUuid } from '../db/uuid.ts'
import type { ChangeTransaction } from './change.ts'
import { cancelSubscription, changePlan, createSubscription } from './subscriptions.ts'

const TYPES = new Set(['subscription.started', 'subscription.updated', 'subscription.terminated'])

/** As Lago's description has it; of each only what is used. */
export interface LagoWebhook {
  webhook_type: string
  subscription?:
    | {
        lago_id: string
        external_customer_id: string
        plan_code: string
        created_at: string
        terminated_at?: string | null | undefined
        next_plan_code?: string | null | undefined
        current_billing_period_started_at?: string | null | undefined
        current_billing_period_ending_at?: string | null | undefined
      }
    | undefined
}

export interface LagoDependencies {
  database: Database
  prices: BillingSettings['planPrices']
  /** Lago's codes. */
  plans: Readonly<Record<Plan, string>>
}

export type LagoOutcome = 'changed' | 'unchanged' | 'ignored'

interface Newest {
  lago_id: string
  plan_code: string
  period_start: Date | null
  period_end: Date | null
  is_followed: boolean
  ended_at: Date | null
}

/** `ignored`: it is about no subscription, or no organization, or a plan that is none of ours. */
export async function bookLagoWebhook(deps: LagoDependencies, webhook: LagoWebhook): Promise<LagoOutcome> {
  const { webhook_type: type, subscription } = webhook
  if (!TYPES.has(type) || subscription === undefined) return 'ignored'
  const { external_customer_id: organizationId } = subscription
  if (!isUuid(organizationId) || !isUuid(subscription.lago_id)) return 'ignored'
  return deps.database.query.transaction().execute(async (transaction) => {
    const newest = await note(transaction, organizationId, type, subscription)
    return newest === null ? 'ignored' : follow(deps, transaction, organizationId, newest)
  })
}

/** Returns the newest subscription of the organization; null where there is no such organization. */
async function note(
  transaction: ChangeTransaction,
  organizationId: string,
  type: string,
  subscription: NonNullable<LagoWebhook['subscription']>,
): Promise<Newest | null> {
  const { lago_id, plan_code, created_at, terminated_at = null, next_plan_code = null } = subscription
  const { current_billing_period_started_at: start = null, current_billing_period_ending_at: end = null } = subscription
  // Webhooks of one organization are heard one after the other.
  const { rows: known } = await sql`select 1 from organizations where id = ${organizationId} for no key update`.execute(
    transaction,
  )
  if (known.length === 0) return null
  await sql`
    insert into tollgate.lago_subscriptions as l (lago_id, org_id, plan_code, created_at, period_start, period_end, is_followed, ended_at)
    values (${lago_id}, ${organizationId}, ${plan_code}, ${created_at}, ${start}, ${end},
      ${type === 'subscription.terminated' && next_plan_code !== null},
      ${type === 'subscription.terminated' ? (terminated_at ?? sql`tollgate.tollgate_now()`) : null})
    on conflict (lago_id) do update
      set period_start = greatest(l.period_start, excluded.period_start), period_end = greatest(l.period_end, excluded.period_end),
        is_followed = l.is_followed or excluded.is_followed, ended_at = coalesce(l.ended_at, excluded.ended_at)`.execute(
    transaction,
  )
  const { rows } = await sql<Newest>`
    select lago_id, plan_code, period_start, period_end, is_followed, ended_at from tollgate.lago_subscriptions
    where org_id = ${organizationId} order by created_at desc, ended_at is null desc, lago_id limit 1`.execute(
    transaction,
  )
  return rows[0] ?? null
}

async function follow(
  { prices, plans }: LagoDependencies,
  transaction: ChangeTransaction,
  organizationId: string,
  newest: Newest,
): Promise<LagoOutcome> {
  const { rows } = await sql<{ plan: Plan; lago_id: string | null; period_end: Date | null }>`
    select subscription_plan as plan, lago_subscription_id as lago_id, current_period_end as period_end
    from organization_subscriptions where org_id = ${organizationId} and status in ('active', 'trialing')
    order by status = 'active' desc limit 1`.execute(transaction)
  const own = rows[0]
  if (newest.ended_at !== null) {
    // What follows is told by a webhook of its own.
    if (newest.is_followed || own === undefined) return 'unchanged'
    await cancelSubscription(transaction, organizationId)
    return 'changed'
  }
  const plan = (Object.keys(plans) as Plan[]).find((name) => plans[name] === newest.plan_code)
  if (plan === undefined) return 'ignored'
  const isSame = own?.plan === plan && own.lago_id === newest.lago_id
  const hasPeriod = newest.period_end === null || own?.period_end?.getTime() === newest.period_end.getTime()
  if (isSame && hasPeriod) return 'unchanged'
  if (own === undefined)
    await createSubscription(transaction, prices, { organizationId, plan, cycle: 'monthly', trialDays: 0 })
  else await changePlan(transaction, prices, organizationId, plan)
  await sql`
    update organization_subscriptions
    set lago_subscription_id = ${newest.lago_id}, current_period_start = coalesce(${newest.period_start}, current_period_start),
      current_period_end = coalesce(${newest.period_end}, current_period_end)
    where org_id = ${organizationId} and status in ('active', 'trialing')`.execute(transaction)
  return 'changed'
}
