/** What an organization was billed and what became of its plan, for people to read. Balances do not depend on it. */
import { type Kysely, sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'
import type { Tables } from '../db/tables.ts'

export type BillingEvent =
  | 'subscription_created'
  | 'subscription_upgraded'
  | 'subscription_downgraded'
  | 'subscription_canceled'
  | 'credit_purchase'
  | 'credit_refund'

export interface NewBillingEntry {
  organizationId: string
  event: BillingEvent
  /** Dollars, a decimal. */
  amount: string
  subscriptionId?: string
  payment?: { status: 'paid' | 'refunded'; method: string }
  details?: Record<string, unknown>
  note?: string
}

/** Times are ISO 8601, the amount is a decimal of dollars with two decimals. */
export interface BillingEntry {
  id: string
  org_id: string
  event_type: string
  amount: string
  currency: string
  payment_status: string | null
  period_start: string | null
  period_end: string | null
  created_at: string
}

export async function recordBilling(query: Kysely<Tables>, entry: NewBillingEntry): Promise<void> {
  const { organizationId, event, amount, subscriptionId = null, payment, details, note = null } = entry
  await sql`
    insert into org_billing_history (org_id, subscription_id, event_type, amount, payment_status, payment_method, paid_at,
      event_metadata, notes)
    values (${organizationId}, ${subscriptionId}, ${event}, round(${amount}::numeric, 2), ${payment?.status ?? null},
      ${payment?.method ?? null}, ${payment?.status === 'paid' ? sql`tollgate.tollgate_now()` : null},
      ${details === undefined ? null : JSON.stringify(details)}, ${note})`.execute(query)
}

/** Newest first. */
export async function listBilling(
  database: Database,
  organizationId: string,
  { limit, offset }: { limit: number; offset: number },
): Promise<BillingEntry[]> {
  const { rows } = await sql<BillingEntry>`
    select id, org_id, event_type, amount::text, currency, payment_status, ${isoTime('period_start')} as period_start,
      ${isoTime('period_end')} as period_end, ${isoTime('created_at')} as created_at
    from org_billing_history where org_id = ${organizationId}
    order by org_billing_history.created_at desc, id limit ${limit} offset ${offset}`.execute(database.query)
  return rows
}
