/** Why a quote is refused. The error is final for an SDK: the same request would be refused again. */
import { TollgateError } from '../http/errors.ts'

export function quoteRefusal(code: string, what: string): TollgateError {
  return new TollgateError(400, code, `${what} Get one for this request (POST /v1/quotes), or call without one.`, {
    param: 'X-Tollgate-Quote',
    headers: { 'x-should-retry': 'false' },
  })
}
