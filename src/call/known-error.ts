/** Refusals of calls that have a budget or a virtual key, in the form that clients of LiteLLM know: `type`, and `code` as the status. */
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'
import { isVirtual } from '../identity/restrictions.ts'
import { budgetRefusal } from './budget-refusal.ts'

/** Of calls a minute, tokens a minute and calls at once; and a budget whose rest is held by running calls. */
const RATES: ReadonlySet<string> = new Set([
  'rate_limit_exceeded',
  'too_many_calls',
  'too_many_refused_calls',
  'budget_in_flight',
])

/** @param budgetStatus `budget_exceeded_status_code`. Whatever else was thrown is returned as it is. */
export function knownError(thrown: unknown, caller: Caller, budgetStatus: number): unknown {
  if (!(thrown instanceof TollgateError)) return thrown
  if (thrown.code === 'budget_exceeded') return budgetRefusal(thrown, caller, budgetStatus)
  if (!RATES.has(thrown.code) || !isVirtual(caller)) return thrown
  const { status, code, message, param, headers, fields, limit } = thrown
  return new TollgateError(status, code, message, {
    type: 'throttling_error',
    param,
    headers,
    fields: { ...fields, code: String(status), reason: code },
    ...(limit === null ? {} : { limit }),
    cause: thrown,
  })
}
