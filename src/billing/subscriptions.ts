/** The plan of an organization: created, changed, canceled. Its price comes from the catalogue, never from who asks. */
import { type Kysely, sql } from 'kysely'
import type { BillingSettings, Plan } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'
import type { Tables } from '../db/tables.ts'
import { TollgateError } from '../http/errors.ts'
import { formatDecimal } from '../metering/money.ts'
import { recordBilling } from './billing-history.ts'
import type { ChangeTransaction } from './change.ts'

export const BILLING_CYCLES = ['monthly', 'yearly', 'custom'] as const
export type BillingCycle = (typeof BILLING_CYCLES)[number]

/** Times are ISO 8601; the price is a decimal of dollars with two decimals. */
export interface Subscription {
  id: string
  org_id: string
  org_name: string
  subscription_plan: Plan
  monthly_price: string
  billing_cycle: BillingCycle
  status: 'active' | 'trialing' | 'past_due' | 'canceled' | 'paused'
  trial_ends_at: string | null
  current_period_start: string
  current_period_end: string | null
  created_at: string
}

export interface NewSubscription {
  organizationId: string
  plan: Plan
  cycle: BillingCycle
  /** 0: no trial. */
  trialDays: number
}

export interface PlanChange {
  old_plan: Plan
  new_plan: Plan
  /** Dollars. */
  old_price: string
  new_price: string
  /** What it is called in the history. */
  direction: 'upgraded' | 'downgraded' | 'unchanged'
}

type Prices = BillingSettings['planPrices']

const COLUMNS = sql`
  s.id, s.org_id, o.name as org_name, s.subscription_plan, s.monthly_price::text as monthly_price, s.billing_cycle, s.status,
  ${isoTime('s.trial_ends_at')} as trial_ends_at, ${isoTime('s.current_period_start')} as current_period_start,
  ${isoTime('s.current_period_end')} as current_period_end, ${isoTime('s.created_at')} as created_at`

/** The one in force, a trial included. @throws {TollgateError} 404. */
export async function findSubscription(query: Kysely<Tables>, organizationId: string): Promise<Subscription> {
  const { rows } = await sql<Subscription>`
    select ${COLUMNS} from organization_subscriptions s join organizations o on o.id = s.org_id
    where s.org_id = ${organizationId} and s.status in ('active', 'trialing')
    order by s.status = 'active' desc, s.created_at desc limit 1`.execute(query)
  if (rows[0] === undefined) throw new TollgateError(404, 'subscription_not_found', 'No active subscription found')
  return rows[0]
}

/** The one of this id, in force or not; null where there is none. */
export async function findSubscriptionById(database: Database, id: string): Promise<Subscription | null> {
  const { rows } = await sql<Subscription>`
    select ${COLUMNS} from organization_subscriptions s join organizations o on o.id = s.org_id where s.id = ${id}`.execute(
    database.query,
  )
  return rows[0] ?? null
}

/** Makes the pool as well where there is none. @throws {TollgateError} 409 where a plan has not ended. */
export async function createSubscription(
  transaction: ChangeTransaction,
  prices: Prices,
  { organizationId, plan, cycle, trialDays }: NewSubscription,
): Promise<Subscription> {
  await lockPool(transaction, organizationId)
  const { rows: others } = await sql<{ status: string }>`
    select status from organization_subscriptions where org_id = ${organizationId} and status <> 'canceled'`.execute(
    transaction,
  )
  if (others[0] !== undefined) {
    const message = `This organization has a subscription already (${others[0].status}). Change its plan, or cancel it first.`
    throw new TollgateError(409, 'SUBSCRIPTION_EXISTS', message)
  }
  const price = dollars(prices[plan])
  const length = cycle === 'yearly' ? '1 year' : '30 days'
  const { rows } = await sql<{ id: string }>`
    insert into organization_subscriptions (org_id, subscription_plan, monthly_price, billing_cycle, status, trial_ends_at,
      current_period_start, current_period_end)
    select ${organizationId}, ${plan}, ${price}, ${cycle}, ${trialDays > 0 ? 'trialing' : 'active'},
      ${trialDays > 0 ? sql`now + make_interval(days => ${trialDays}::integer)` : sql`null::timestamptz`},
      now, now + ${length}::interval
    from (select tollgate.tollgate_now() as now offset 0) clock
    returning id`.execute(transaction)
  const subscriptionId = rows[0]!.id
  await recordBilling(transaction, { organizationId, subscriptionId, event: 'subscription_created', amount: price })
  return findSubscription(transaction, organizationId)
}

/** @throws {TollgateError} 404 without a plan in force. */
export async function changePlan(
  transaction: ChangeTransaction,
  prices: Prices,
  organizationId: string,
  plan: Plan,
): Promise<PlanChange> {
  await lockPool(transaction, organizationId)
  const old = await findSubscription(transaction, organizationId)
  const price = dollars(prices[plan])
  const change = { old_plan: old.subscription_plan, new_plan: plan, old_price: old.monthly_price, new_price: price }
  if (old.subscription_plan === plan) return { ...change, new_price: old.monthly_price, direction: 'unchanged' }
  const direction = cents(old.monthly_price) > prices[plan] ? 'downgraded' : 'upgraded'
  await sql`
    update organization_subscriptions set subscription_plan = ${plan}, monthly_price = ${price} where id = ${old.id}`.execute(
    transaction,
  )
  await recordBilling(transaction, {
    organizationId,
    subscriptionId: old.id,
    event: `subscription_${direction}`,
    amount: price,
    details: { old_plan: old.subscription_plan, new_plan: plan },
  })
  return { ...change, direction }
}

/** It ends at once. @throws {TollgateError} 404 without a plan that could end. */
export async function cancelSubscription(
  transaction: ChangeTransaction,
  organizationId: string,
): Promise<Subscription> {
  await lockPool(transaction, organizationId)
  const { rows } = await sql<{ id: string }>`
    update organization_subscriptions set status = 'canceled', canceled_at = tollgate.tollgate_now()
    where org_id = ${organizationId} and status <> 'canceled' returning id`.execute(transaction)
  const [canceled] = rows
  if (canceled === undefined) throw new TollgateError(404, 'subscription_not_found', 'No active subscription found')
  await recordBilling(transaction, {
    organizationId,
    subscriptionId: canceled.id,
    event: 'subscription_canceled',
    amount: '0',
  })
  const shown = await sql<Subscription>`
    select ${COLUMNS} from organization_subscriptions s join organizations o on o.id = s.org_id
    where s.id = ${canceled.id}`.execute(transaction)
  return shown.rows[0]!
}

/** Changes of one organization's plan happen one after the other: its pool stands for it, in the order of locks that the ledger has. */
async function lockPool(transaction: ChangeTransaction, organizationId: string): Promise<void> {
  await sql`insert into organization_credit_pools (org_id) values (${organizationId}) on conflict do nothing`.execute(
    transaction,
  )
  await sql`select from organization_credit_pools where org_id = ${organizationId} for update`.execute(transaction)
}

function dollars(cents: bigint): string {
  return formatDecimal(cents, 2)
}

function cents(dollars: string): bigint {
  return BigInt(dollars.replace('.', ''))
}
