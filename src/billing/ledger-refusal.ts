/** What the ledger's SQL functions refuse, as errors for people: their texts are a contract and say what was wrong. */
import { sqlState } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'

/** SQLSTATE of our own refusals, and of amounts that no column can hold. */
const REFUSED = 'P0001'
const OUT_OF_RANGE = '22003'

/** @throws {TollgateError} for what a SQL function refused: `status`, except for what says its own. Anything else is thrown on. */
export function throwRefusal(error: unknown, status: number, code: string): never {
  const state = sqlState(error)
  if (state === OUT_OF_RANGE)
    throw new TollgateError(422, 'invalid_amount', 'The amount is more than the ledger can hold.', { cause: error })
  if (state !== REFUSED) throw error
  const { message } = error as Error
  if (message.startsWith('Invalid')) throw new TollgateError(422, 'invalid_amount', message, { cause: error })
  if (message.startsWith('No credit pool'))
    throw new TollgateError(404, 'credit_pool_not_found', 'Credit pool not found', { cause: error })
  throw new TollgateError(status, code, message, { cause: error })
}
