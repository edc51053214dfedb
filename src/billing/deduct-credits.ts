/** A charge that a service states: the same SQL function that callers of the database use. */
import { sql } from 'kysely'
import { sqlState } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import type { ChangeTransaction } from './change.ts'

export interface Deduction {
  organizationId: string
  userId: string
  /** Decimal credits. */
  credits: string
  serviceType: string
  serviceName: string | null
  requestId: string | null
  metadata: Record<string, unknown> | null
}

/** What was left before a deduction that does not fit, as the SQL function says it. */
const INSUFFICIENT = /^Insufficient credits: (\S+) available, (\S+) needed$/

/** @returns what the user has left. @throws {TollgateError} 402, 403, 422. */
export async function deductCredits(transaction: ChangeTransaction, deduction: Deduction): Promise<string> {
  const { organizationId, userId, credits, serviceType, serviceName, requestId, metadata } = deduction
  try {
    await sql`select deduct_credits(${organizationId}, ${userId}, ${credits}::numeric, ${serviceType}, ${serviceName}, ${requestId},
      ${metadata === null ? null : JSON.stringify(metadata)}::jsonb)`.execute(transaction)
  } catch (error) {
    throw refusalOf(error)
  }
  const row = await transaction
    .selectFrom('user_credit_allocations')
    .select('remaining_credits')
    .where('org_id', '=', organizationId)
    .where('user_id', '=', userId)
    .executeTakeFirstOrThrow()
  return row.remaining_credits
}

function refusalOf(error: unknown): unknown {
  const state = sqlState(error)
  const { message } = error as Error
  if (state === '22003')
    return new TollgateError(422, 'invalid_amount', 'The amount is more than the ledger can hold.', { cause: error })
  if (state !== 'P0001') return error
  if (message.startsWith('Invalid')) return new TollgateError(422, 'invalid_amount', message, { cause: error })
  if (message.startsWith('No credit allocation'))
    return new TollgateError(403, 'no_allocation', message, { cause: error })
  if (message.startsWith('Organization'))
    return new TollgateError(403, 'organization_suspended', message, { cause: error })
  const [, available, required] = INSUFFICIENT.exec(message) ?? []
  return new TollgateError(402, 'insufficient_credits', message, {
    fields: available === undefined || required === undefined ? {} : { available, required },
    headers: { 'x-should-retry': 'false' },
    cause: error,
  })
}
