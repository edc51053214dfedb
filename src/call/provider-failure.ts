/** What a caller is told when a provider failed. A problem of the operator's account is a 503: the caller's key is fine. */
import type { ProviderError, ProviderErrorKind } from '../../providers/provider.ts'
import { TollgateError } from '../http/errors.ts'
import { withoutKnown } from '../observe/without-known.ts'
import { withoutSecrets } from '../observe/without-secrets.ts'
import type { Candidate } from './candidate.ts'

const RETRY_AFTER_SECONDS = 2
/** A provider may name any number of seconds: more than a day is cut to a day, which is still an integer and a date. */
const RETRY_AFTER_MAX = 86_400
const CODES: Readonly<Record<ProviderErrorKind, string>> = {
  bad_request: 'bad_request',
  model_not_found: 'model_not_found',
  too_large: 'request_too_large',
  context_length: 'context_length_exceeded',
  content_filter: 'content_filter',
  rate_limit: 'provider_rate_limited',
  quota: 'provider_account',
  auth: 'provider_account',
  overloaded: 'provider_overloaded',
  failed: 'provider_failed',
  timeout: 'provider_timeout',
  unreachable: 'provider_unreachable',
}

/** A failure whose texts hold no secret. `callerAccountAt` names the provider where the caller's own account there was to pay. */
export type Failure = ProviderError & { callerAccountAt?: string; clean: true }

/** Names of headers the operator may have put a secret into. */
const SECRET_HEADER = /auth|key|token|secret|cookie|password/i

/** The one way from what a provider said to what a caller, a row or the log is told. */
export function failureWith(candidate: Candidate, error: ProviderError): Failure {
  const { apiKey, payer, deployment, terms } = candidate
  const secrets = Object.entries(deployment.extraHeaders).flatMap(([name, value]) =>
    SECRET_HEADER.test(name) ? [value] : [],
  )
  if (apiKey !== null) secrets.push(apiKey)
  const clean = (text: string) => withoutSecrets(withoutKnown(text, secrets))
  const cleanOr = (text: string | null) => (text === null ? null : clean(text))
  return {
    ...error,
    message: clean(error.message),
    type: cleanOr(error.type),
    code: cleanOr(error.code),
    param: cleanOr(error.param),
    internal: clean(error.internal),
    clean: true,
    ...(payer.accountOf === 'caller' ? { callerAccountAt: terms.provider.label } : {}),
  }
}

/** @param now the date, for when a rate limit ends. */
export function toCallerError(error: Failure, now: Date): TollgateError {
  const code = CODES[error.kind]
  const cause = new Error(`${error.kind} ${error.status ?? ''} ${error.internal}`.trim())
  const account = error.callerAccountAt
  const ofAccount = account === undefined ? null : callerAccountError(account, error.kind, cause)
  if (ofAccount !== null) return ofAccount
  switch (error.kind) {
    case 'bad_request':
    case 'model_not_found':
    case 'too_large':
    case 'context_length':
    case 'content_filter': {
      const status = { model_not_found: 404, too_large: 413 }[error.kind as string] ?? 400
      // A provider's own code says more, except where clients look for the code of the dialect.
      const own = error.kind === 'bad_request' || error.kind === 'content_filter' ? error.code : null
      return new TollgateError(status, own ?? code, error.message, {
        ...(error.type === null ? {} : { type: error.type }),
        param: error.param,
        cause,
      })
    }
    case 'rate_limit': {
      const seconds = waitSeconds(error)
      const reset = Math.ceil(now.getTime() / 1000) + seconds
      return new TollgateError(429, code, error.message, {
        headers: { 'Retry-After': `${seconds}`, 'X-RateLimit-Reset': `${reset}` },
        cause,
      })
    }
    default: {
      const seconds = waitSeconds(error)
      return new TollgateError(503, code, error.message, { headers: { 'Retry-After': `${seconds}` }, cause })
    }
  }
}

/** The caller has to mend its own account; a retry does not. */
function callerAccountError(label: string, kind: ProviderErrorKind, cause: Error): TollgateError | null {
  const headers = { 'x-should-retry': 'false' }
  if (kind === 'auth') {
    const message = `${label} rejected the key that is stored for it. Store a valid one: POST /api/v1/llm/byok/keys`
    return new TollgateError(403, 'byok_key_rejected', message, { headers, cause })
  }
  if (kind !== 'quota') return null
  const message = `Your own account at ${label} has no credit or quota left. Your credits here are not concerned.`
  return new TollgateError(402, 'byok_quota_exceeded', message, { type: 'insufficient_quota', headers, cause })
}

function waitSeconds({ retryAfterMs }: ProviderError): number {
  const seconds = Math.ceil((retryAfterMs ?? RETRY_AFTER_SECONDS * 1000) / 1000)
  return Math.min(RETRY_AFTER_MAX, Math.max(1, seconds))
}

/** A connection that failed, as an error of the provider. */
export function fromConnection(label: string, error: Error): ProviderError {
  const code = (error as { code?: unknown }).code
  const kind = kindOf(typeof code === 'string' ? code : '')
  const message = {
    timeout: `${label} took too long to answer. Try again, or ask for less output.`,
    unreachable: `${label} can't be reached. Try again shortly.`,
    failed: `${label} broke off its answer. Try again shortly.`,
  }[kind]
  return {
    kind,
    status: null,
    message,
    type: null,
    code: null,
    param: null,
    retryAfterMs: null,
    internal: `${code ?? ''} ${error.message}`.trim(),
  }
}

/** The call was held, but this process may not call upstream any more: it was stopped for a while, or can't renew its lease. */
export function leaseLost(): Failure {
  return {
    kind: 'unreachable',
    status: null,
    message: 'This instance can not make paid calls at the moment. Try again shortly.',
    type: null,
    code: 'ledger_unavailable',
    param: null,
    retryAfterMs: null,
    internal: 'the lease of this process is not valid',
    clean: true,
  }
}

/** No connection to the provider was free in time: the attempt was not made. */
export function noConnection(label: string): ProviderError {
  return {
    kind: 'overloaded',
    status: null,
    message: `All connections to ${label} that your organization may have are taken. Try again shortly.`,
    type: null,
    code: NO_CONNECTION,
    param: null,
    retryAfterMs: null,
    internal: 'no connection was free in time',
  }
}

export const NO_CONNECTION = 'no_connection'

function kindOf(code: string): 'timeout' | 'unreachable' | 'failed' {
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return 'timeout'
  if (
    ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'].includes(code)
  )
    return 'unreachable'
  return 'failed'
}
