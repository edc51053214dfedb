/**
 * The one error class of the product and the one place that renders it: OpenAI's envelope plus the top-level string
 * `detail` that Ops-Center's callers read. Internal text (SQL, provider bodies, stacks, keys) stays in `cause`.
 */

import type { Limit } from './limit.ts'

export interface TollgateErrorOptions {
  /** OpenAI's `error.type`; derived from the status when left out. */
  type?: string
  /** The request parameter at fault. */
  param?: string | null
  /** Extra response headers, `Retry-After` for one. */
  headers?: Record<string, string>
  /** Further members of the `error` object, such as `required` and `available`. */
  fields?: Record<string, string | number | boolean | null>
  /** The limit that refused, to be counted. */
  limit?: Limit
  cause?: unknown
}

export class TollgateError extends Error {
  readonly status: number
  /** Stable and machine-readable. */
  readonly code: string
  readonly type: string
  readonly param: string | null
  readonly headers: Record<string, string>
  readonly fields: Record<string, string | number | boolean | null>
  readonly limit: Limit | null

  /** @param message says what is wrong and what to do next; it is shown to the caller. */
  constructor(status: number, code: string, message: string, options: TollgateErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'TollgateError'
    this.status = status
    this.code = code
    this.type = options.type ?? typeOf(status)
    this.param = options.param ?? null
    this.headers = options.headers ?? {}
    this.fields = options.fields ?? {}
    this.limit = options.limit ?? null
  }
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error'
  if (status === 402) return 'insufficient_credits'
  if (status === 403) return 'permission_error'
  if (status === 404) return 'not_found_error'
  if (status === 429) return 'rate_limit_error'
  return status >= 500 ? 'server_error' : 'invalid_request_error'
}

/** The body of every error. */
export function errorBody(error: TollgateError): Record<string, unknown> {
  const { message, type, param, code, fields } = error
  return { error: { message, type, param, code, ...fields }, detail: message }
}

/** Anything thrown becomes a TollgateError; what we did not foresee becomes a 500 that tells nothing. */
export function toTollgateError(thrown: unknown): TollgateError {
  if (thrown instanceof TollgateError) return thrown
  return new TollgateError(
    500,
    'internal_error',
    'Internal error. Quote the X-Request-ID of this response to the operator.',
    {
      cause: thrown,
    },
  )
}
