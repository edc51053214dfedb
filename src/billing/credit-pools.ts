/** The prepaid credits of an organization. Credits are decimal strings. */
import { type Kysely, sql } from 'kysely'
import { isoTime } from '../db/iso-time.ts'
import type { Tables } from '../db/tables.ts'
import { TollgateError } from '../http/errors.ts'
import { recordBilling } from './billing-history.ts'
import type { ChangeTransaction } from './change.ts'
import { throwRefusal } from './ledger-refusal.ts'

/** Times are ISO 8601; `lifetime_spent_amount` is dollars with two decimals. */
export interface CreditPool {
  id: string
  org_id: string
  org_name: string
  total_credits: string
  allocated_credits: string
  used_credits: string
  /** What can still be handed to users. */
  available_credits: string
  monthly_refresh_amount: string
  last_refresh_date: string
  next_refresh_date: string | null
  allow_overage: boolean
  /** Null: unlimited. */
  overage_limit: string | null
  lifetime_purchased_credits: string
  lifetime_spent_amount: string
}

export interface CreditPurchase {
  organizationId: string
  /** Decimal credits. */
  credits: string
  /** Dollars. */
  amount: string
  actor: string
  /** How it was paid: `stripe`; null where nobody paid here. */
  method: string | null
  details?: Record<string, unknown>
}

/** @throws {TollgateError} 404. */
export async function findPool(query: Kysely<Tables>, organizationId: string): Promise<CreditPool> {
  const { rows } = await sql<CreditPool>`
    select p.id, p.org_id, o.name as org_name, p.total_credits, p.allocated_credits, p.used_credits, p.available_credits,
      p.monthly_refresh_amount, ${isoTime('p.last_refresh_date')} as last_refresh_date,
      ${isoTime('p.next_refresh_date')} as next_refresh_date, p.allow_overage, p.overage_limit, p.lifetime_purchased_credits,
      p.lifetime_spent_amount
    from organization_credit_pools p join organizations o on o.id = p.org_id where p.org_id = ${organizationId}`.execute(
    query,
  )
  if (rows[0] === undefined) throw new TollgateError(404, 'credit_pool_not_found', 'Credit pool not found')
  return rows[0]
}

/** Makes the pool where there is none; a purchase of more than 0 dollars is in the history. @throws {TollgateError} 422. */
export async function addCreditsToPool(transaction: ChangeTransaction, purchase: CreditPurchase): Promise<CreditPool> {
  const { organizationId, credits, amount, actor, method, details } = purchase
  try {
    await sql`select tollgate.ledger_add_credits(${organizationId}, ${credits}::numeric, ${amount}::numeric, ${actor})`.execute(
      transaction,
    )
  } catch (error) {
    throwRefusal(error, 422, 'invalid_amount')
  }
  if (Number(amount) > 0) {
    await recordBilling(transaction, {
      organizationId,
      event: 'credit_purchase',
      amount,
      payment: { status: 'paid', method: method ?? 'manual' },
      details: { credits, ...details },
    })
  }
  return findPool(transaction, organizationId)
}
