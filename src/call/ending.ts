/** The end of a call that was settled: what its Idempotency-Key answers from now on, and what is left to send to the caller. */
import { errorBody, TollgateError, toTollgateError } from '../http/errors.ts'
import type { KeyState } from '../idempotency/idempotency.ts'
import { billHeaders } from './answer-headers.ts'
import type { Call } from './call.ts'
import type { Bill } from './settle-call.ts'

export interface Ending {
  key: KeyState
  /** Once the key is closed. @throws {TollgateError} where the end is an error with a status of its own. */
  send(): void
}

/** What was charged stays charged: the error says what it cost and that trying again would cost once more. */
export function paidError(call: Call, bill: Bill, thrown: unknown): Ending {
  const { status, code, message, type, param, fields, cause } = toTollgateError(thrown)
  const headers = { ...billHeaders(call, bill), 'x-should-retry': 'false' }
  const error = new TollgateError(status, code, message, { type, param, fields, cause, headers })
  return {
    key: {
      status,
      headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
      body: Buffer.from(JSON.stringify(errorBody(error))),
    },
    send() {
      throw error
    },
  }
}
