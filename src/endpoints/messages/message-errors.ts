/** Errors in Anthropic's envelope, whose clients go by the type. Our code and members are beside it. */
import type { TollgateError } from '../../http/errors.ts'

/** The type of an error by status: https://docs.anthropic.com/en/api/errors */
const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  503: 'overloaded_error',
  529: 'overloaded_error',
}

export function messageError(error: TollgateError): Record<string, unknown> {
  const { status, message, code, param, fields, headers } = error
  // Claude Code repeats what is overloaded for a minute, silently, whatever the headers say.
  const isFinal = status >= 500 && headers['x-should-retry'] === 'false'
  const type = isFinal ? 'api_error' : (TYPES[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error'))
  return { type: 'error', error: { type, message, code, param, ...fields }, detail: message }
}
