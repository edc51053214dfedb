/** The end of a settled call: what its Idempotency-Key repeats from now on, and what is still to send to the caller. */
import { TollgateError, toTollgateError } from '../http/errors.ts'
import type { KeyState } from '../idempotency/idempotency.ts'
import type { Attempt } from './admitted.ts'
import type { Clock } from './call-dependencies.ts'
import { billHeaders } from './response-headers.ts'
import type { Bill } from './settle-call.ts'

export interface Ending {
  key: KeyState
  /** Call it once the key is closed. @throws {TollgateError} where the end is an error with a status of its own. */
  send(): void
}

/** An error after a charge. The charge stays: the error says what the call cost, and that another try would cost again. */
export function paidError(clock: Clock, attempt: Attempt, bill: Bill, thrown: unknown): Ending {
  const { status, code, message, type, param, fields, cause } = toTollgateError(thrown)
  const headers = { ...billHeaders(attempt, bill, clock.monotonic()), 'x-should-retry': 'false' }
  const error = new TollgateError(status, code, message, { type, param, fields, cause, headers })
  return {
    key: {
      status,
      headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
      body: Buffer.from(JSON.stringify(attempt.call.endpoint.errorBody(error))),
    },
    send() {
      throw error
    },
  }
}

/** Renders the end of a charged call. An unexpected failure becomes an error after a charge, or the caller would try again and pay twice. */
export function afterCharge(clock: Clock, attempt: Attempt, bill: Bill, render: () => Ending): Ending {
  try {
    return render()
  } catch (error) {
    return paidError(clock, attempt, bill, error)
  }
}
