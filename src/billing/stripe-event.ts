/**
 * What an event of Stripe does to the books. Events come twice, late and in any order: each books what is not booked yet. One that is
 * about a payment of ours which is not booked yet is refused, and Stripe sends it again later.
 */
import { sql } from 'kysely'
import type Stripe from 'stripe'
import type { Database } from '../db/connect.ts'
import { isUuid } from '../db/uuid.ts'
import { TollgateError } from '../http/errors.ts'
import { bookPayment, type MoneyBack, takeBackPayment } from './payments.ts'

/** States of a dispute in which the money is with the bank. */
const TAKES_MONEY = new Set(['needs_response', 'under_review', 'appeal_needs_response', 'appeal_under_review', 'lost'])

export type EventOutcome = 'booked' | 'known' | 'ignored'

export interface EventDependencies {
  database: Database
  /** What the metadata of a payment says, from Stripe itself: a dispute does not repeat it. @throws {TollgateError} 503. */
  metadataOf(paymentIntent: string): Promise<Stripe.Metadata | null>
}

/** @throws {TollgateError} 409 for one that comes too early. */
export async function bookStripeEvent(deps: EventDependencies, event: Stripe.Event): Promise<EventOutcome> {
  switch (event.type) {
    case 'checkout.session.completed':
    case 'checkout.session.async_payment_succeeded':
      return bookSession(deps.database, event.data.object)
    case 'charge.refunded': {
      const { payment_intent, amount_refunded, metadata } = event.data.object
      return takeBack({ ...deps, metadataOf: async () => metadata }, payment_intent, { refunded: amount_refunded })
    }
    case 'charge.dispute.created':
    case 'charge.dispute.updated':
    case 'charge.dispute.closed':
    case 'charge.dispute.funds_withdrawn':
    case 'charge.dispute.funds_reinstated': {
      const { id, payment_intent, amount, status } = event.data.object
      const isOver = status === 'won' || event.type === 'charge.dispute.funds_reinstated'
      // An inquiry takes no money; where it becomes a dispute, another event says so.
      const isTaken = event.type === 'charge.dispute.funds_withdrawn' || TAKES_MONEY.has(status)
      if (!isOver && !isTaken) return 'ignored'
      return takeBack(deps, payment_intent, { dispute: { id, cents: amount, isOver } })
    }
    default:
      return 'ignored'
  }
}

export async function findLedgerId(database: Database): Promise<string> {
  const { rows } = await sql<{ ledger_id: string }>`select ledger_id from tollgate.ledger_identity`.execute(
    database.query,
  )
  return rows[0]!.ledger_id
}

async function bookSession(database: Database, session: Stripe.Checkout.Session): Promise<EventOutcome> {
  const { tollgate_org_id: org, tollgate_user_id: user, tollgate_credits: credits } = session.metadata ?? {}
  if (session.payment_status !== 'paid' || session.currency !== 'usd' || session.amount_total === null) return 'ignored'
  if (org === undefined || !isUuid(org) || !/^\d{1,9}$/.test(credits ?? '')) return 'ignored'
  if (!(await isOurs(database, session.metadata))) return 'ignored'
  const { id, amount_total: cents } = session
  const isNew = await database.query.transaction().execute((transaction) =>
    bookPayment(transaction, {
      id,
      organizationId: org,
      userId: user ?? null,
      paymentIntent: idOf(session.payment_intent),
      cents,
      credits: Number(credits),
    }),
  )
  return isNew ? 'booked' : 'known'
}

async function takeBack(
  { database, metadataOf }: EventDependencies,
  paymentIntent: string | Stripe.PaymentIntent | null,
  amounts: Omit<MoneyBack, 'paymentIntent'>,
): Promise<EventOutcome> {
  const named = idOf(paymentIntent)
  if (named === null) return 'ignored'
  const isBooked = await database.query
    .transaction()
    .execute((transaction) => takeBackPayment(transaction, { paymentIntent: named, ...amounts }))
  if (isBooked) return 'booked'
  if (!(await isOurs(database, await metadataOf(named)))) return 'ignored'
  throw new TollgateError(409, 'payment_not_booked', 'The payment is not booked yet. Send this event again later.')
}

async function isOurs(database: Database, metadata: Stripe.Metadata | null): Promise<boolean> {
  return metadata?.tollgate_ledger_id !== undefined && metadata.tollgate_ledger_id === (await findLedgerId(database))
}

function idOf(named: string | { id: string } | null): string | null {
  return typeof named === 'string' ? named : (named?.id ?? null)
}
