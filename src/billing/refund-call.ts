/** Gives back credits of one call: a row of the journal, at most the charge over all refunds together. The charge stays on the books. */
import { sql } from 'kysely'
import { isUuid } from '../db/uuid.ts'
import { TollgateError } from '../http/errors.ts'
import { recordBilling } from './billing-history.ts'
import type { ChangeTransaction } from './change.ts'
import { throwRefusal } from './ledger-refusal.ts'

export interface Refund {
  callId: string
  /** Decimal credits; null: all that is left. */
  credits: string | null
  reason: string
  actor: string
}

export interface Refunded {
  call_id: string
  org_id: string
  user_id: string
  /** Decimal credits: of this refund, and what of the call can still be refunded. */
  refunded: string
  refundable: string
}

interface Outcome extends Refunded {
  outcome: 'refunded' | 'too_much' | 'disputed' | 'unknown'
}

/** @throws {TollgateError} 404, 409, 422. */
export async function refundCall(transaction: ChangeTransaction, refund: Refund): Promise<Refunded> {
  const { callId, reason, actor } = refund
  const row = isUuid(callId) ? await book(transaction, refund) : undefined
  if (row === undefined || row.outcome === 'unknown')
    throw new TollgateError(404, 'call_not_found', 'There is no charge of such a call.')
  if (row.outcome === 'disputed') {
    const message = 'The charge of this call is disputed: settle the dispute instead (tollgate disputes settle).'
    throw new TollgateError(409, 'call_disputed', message)
  }
  if (row.outcome === 'too_much') {
    const message = `At most ${row.refundable} credits of this call can still be refunded.`
    throw new TollgateError(422, 'refund_too_large', message, {
      param: 'credits',
      fields: { refundable: row.refundable },
    })
  }
  const { outcome: _, ...refunded } = row
  await recordBilling(transaction, {
    organizationId: row.org_id,
    event: 'credit_refund',
    amount: '0',
    details: { call_id: callId, user_id: row.user_id, credits: row.refunded, by: actor },
    note: reason,
  })
  return refunded
}

async function book(transaction: ChangeTransaction, refund: Refund): Promise<Outcome | undefined> {
  const { callId, credits, reason, actor } = refund
  try {
    const { rows } = await sql<Outcome>`
      select ${callId} as call_id, outcome, org_id, user_id, trim_scale(refunded)::text as refunded,
        trim_scale(refundable)::text as refundable
      from tollgate.ledger_refund_call(${callId}, ${credits}::numeric, ${actor}, ${reason})`.execute(transaction)
    return rows[0]
  } catch (error) {
    return throwRefusal(error, 422, 'invalid_amount')
  }
}
