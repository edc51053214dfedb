/** Errors in Google's envelope. Our code and members are in its details, and the message is also where Ops-Center's callers look for it. */
import type { TollgateError } from '../../http/errors.ts'

/** Google's names of statuses: https://google.aip.dev/193 */
const STATUSES: Readonly<Record<number, string>> = {
  401: 'UNAUTHENTICATED',
  402: 'FAILED_PRECONDITION',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  405: 'UNIMPLEMENTED',
  409: 'ABORTED',
  429: 'RESOURCE_EXHAUSTED',
  499: 'CANCELLED',
  501: 'UNIMPLEMENTED',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}

export function googleError(error: TollgateError): Record<string, unknown> {
  const { status: code, message } = error
  const status = STATUSES[code] ?? (code >= 500 ? 'INTERNAL' : 'INVALID_ARGUMENT')
  return { error: { code, message, status, details: detailsOf(error) }, detail: message }
}

const RPC = 'type.googleapis.com/google.rpc'

function detailsOf({ status, code: reason, param, fields, headers }: TollgateError): Record<string, unknown>[] {
  const told = Object.entries({ ...(param === null ? {} : { param }), ...fields })
  const metadata = Object.fromEntries(told.map(([name, value]) => [name, String(value)]))
  const seconds = Number(headers['Retry-After'])
  const isFinal = headers['x-should-retry'] === 'false'
  return [
    { '@type': `${RPC}.ErrorInfo`, reason, domain: 'tollgate', metadata },
    ...(param === null || status !== 400 ? [] : [badRequest(param)]),
    // Clients wait as long as this says. For a daily quota they stop and show the message.
    ...(status === 429 && isFinal
      ? [{ '@type': `${RPC}.QuotaFailure`, violations: [{ quotaId: 'BudgetPerDay' }] }]
      : []),
    ...(!isFinal && seconds > 0 ? [{ '@type': `${RPC}.RetryInfo`, retryDelay: `${seconds}s` }] : []),
  ]
}

function badRequest(field: string): Record<string, unknown> {
  return { '@type': `${RPC}.BadRequest`, fieldViolations: [{ field }] }
}
