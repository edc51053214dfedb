/**
 * Payments that become credits, each once, by the id the payment provider gave it; and what happens when the money goes back. Credits
 * that nobody was given are taken; where these do not suffice, the rest is owed and the organization is suspended.
 */
import { sql } from 'kysely'
import { sqlState } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import { creditsToMicro, formatDecimal } from '../metering/money.ts'
import { recordBilling } from './billing-history.ts'
import type { ChangeTransaction } from './change.ts'
import { addCreditsToPool } from './credit-pools.ts'
import { type Dispute, noteDispute } from './payment-disputes.ts'

export interface Payment {
  id: string
  organizationId: string
  /** Who bought; null where nobody is known. */
  userId: string | null
  paymentIntent: string | null
  cents: number
  /** Whole credits. */
  credits: number
}

export interface MoneyBack {
  paymentIntent: string
  /** Cents in all, by refunds. They only ever grow: a smaller sum is of an older event. */
  refunded?: number
  dispute?: Dispute
}

interface PaymentRow {
  id: string
  org_id: string
  /** Cents, and whole microcredits, to calculate with. */
  amount: string
  refunded: string
  disputed: string
  credits: string
  taken: string
  owed: string
}

const ACTOR = 'stripe'

/** @returns false for a payment that was booked before: nothing changed. */
export async function bookPayment(transaction: ChangeTransaction, payment: Payment): Promise<boolean> {
  if (!(await claimPayment(transaction, payment))) return false
  await addCreditsToPool(transaction, {
    organizationId: payment.organizationId,
    credits: String(payment.credits),
    amount: dollars(payment.cents),
    actor: ACTOR,
    method: ACTOR,
    details: { payment_id: payment.id },
  })
  await giveToOnlyMember(transaction, payment)
  return true
}

/** Notes that a payment is used. @returns false where it was used before. */
export async function claimPayment(transaction: ChangeTransaction, payment: Payment): Promise<boolean> {
  const { id, organizationId, userId, paymentIntent, cents, credits } = payment
  try {
    const { rows } = await sql`
      insert into tollgate.payments (id, org_id, user_id, payment_intent, amount, credits)
      values (${id}, ${organizationId}, ${userId}, ${paymentIntent}, ${dollars(cents)}::numeric, ${credits}::numeric)
      on conflict do nothing returning id`.execute(transaction)
    return rows.length > 0
  } catch (error) {
    if (sqlState(error) !== '23503') throw error
    throw new TollgateError(404, 'NOT_FOUND', 'Organization not found', { cause: error })
  }
}

/** @returns false where no such payment was booked. */
export async function takeBackPayment(transaction: ChangeTransaction, back: MoneyBack): Promise<boolean> {
  const payment = await lockPayment(transaction, back.paymentIntent)
  if (payment === null) return false
  const amount = BigInt(payment.amount)
  const stated = BigInt(back.refunded ?? 0)
  const refunded = stated > BigInt(payment.refunded) ? stated : BigInt(payment.refunded)
  const disputed =
    back.dispute === undefined ? BigInt(payment.disputed) : await noteDispute(transaction, payment.id, back.dispute)
  const gone = refunded + disputed < amount ? refunded + disputed : amount
  const before = BigInt(payment.refunded) + BigInt(payment.disputed)
  const money = gone - (before < amount ? before : amount)
  // A part of the money stands for the same part of the credits, rounded down.
  const due = amount === 0n ? 0n : (BigInt(payment.credits) * gone) / amount
  const change = due - BigInt(payment.taken) - BigInt(payment.owed)
  if (change > 0n) await take(transaction, payment, change, money)
  if (change < 0n) await giveBack(transaction, payment, -change, -money)
  await sql`
    update tollgate.payments set refunded_amount = ${dollars(refunded)}::numeric, disputed_amount = ${dollars(disputed)}::numeric
    where id = ${payment.id}`.execute(transaction)
  return true
}

async function take(transaction: ChangeTransaction, { id, org_id }: PaymentRow, micro: bigint, money: bigint) {
  const wanted = formatDecimal(micro, 6)
  const { rows } = await sql<{ taken: string }>`
    with taken as materialized (
      select tollgate.ledger_take_credits(${org_id}, ${wanted}::numeric, ${dollars(money)}::numeric, ${ACTOR}, ${id}) as credits)
    update tollgate.payments p set taken_credits = p.taken_credits + t.credits,
      owed_credits = p.owed_credits + ${wanted}::numeric - t.credits
    from taken t where p.id = ${id}
    returning t.credits::text as taken`.execute(transaction)
  const taken = rows[0]?.taken ?? '0'
  const isShort = creditsToMicro(taken) < micro
  if (isShort)
    await transaction.updateTable('organizations').set({ status: 'suspended' }).where('id', '=', org_id).execute()
  await recordBilling(transaction, {
    organizationId: org_id,
    event: 'credit_refund',
    amount: dollars(money),
    payment: { status: 'refunded', method: ACTOR },
    details: { payment_id: id, credits: wanted, taken, suspended: isShort },
  })
}

/** A dispute was won. What was owed is owed no more; a suspended organization is for the operator to resume. */
async function giveBack(
  transaction: ChangeTransaction,
  { id, org_id, owed }: PaymentRow,
  micro: bigint,
  money: bigint,
) {
  const forgiven = micro < BigInt(owed) ? micro : BigInt(owed)
  const returned = micro - forgiven
  await sql`
    update tollgate.payments set owed_credits = owed_credits - ${formatDecimal(forgiven, 6)}::numeric,
      taken_credits = taken_credits - ${formatDecimal(returned, 6)}::numeric where id = ${id}`.execute(transaction)
  await addCreditsToPool(transaction, {
    organizationId: org_id,
    credits: formatDecimal(returned, 6),
    amount: dollars(money),
    actor: ACTOR,
    method: ACTOR,
    details: { payment_id: id, reinstated: true },
  })
}

async function lockPayment(transaction: ChangeTransaction, paymentIntent: string): Promise<PaymentRow | null> {
  const { rows } = await sql<PaymentRow>`
    select id, org_id, (amount * 100)::bigint as amount, (refunded_amount * 100)::bigint as refunded,
      (disputed_amount * 100)::bigint as disputed, (credits * 1000000)::bigint as credits,
      (taken_credits * 1000000)::bigint as taken, (owed_credits * 1000000)::bigint as owed
    from tollgate.payments where payment_intent = ${paymentIntent} for update`.execute(transaction)
  return rows[0] ?? null
}

/** Whoever is alone in an organization buys for themselves. */
async function giveToOnlyMember(transaction: ChangeTransaction, { organizationId, credits, userId }: Payment) {
  const members = await transaction
    .selectFrom('organization_members')
    .select('user_id')
    .where('org_id', '=', organizationId)
    .limit(2)
    .execute()
  if (members.length !== 1 || members[0]?.user_id !== userId) return
  await sql`select allocate_credits_to_user(${organizationId}, ${userId}, ${credits}::numeric, ${ACTOR})`.execute(
    transaction,
  )
}

function dollars(cents: number | bigint): string {
  return formatDecimal(BigInt(cents), 2)
}
