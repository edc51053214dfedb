/** What a caller is told when a provider failed. A problem of the operator's account is a 503: the caller's key is fine. */
import { ownMessage } from '../../providers/openai-errors.ts'
import type { ProviderError, ProviderErrorKind } from '../../providers/provider.ts'
import { SigningError } from '../../providers/sign.ts'
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
      return new TollgateError(429, error.isOurs === true ? 'no_deployments_available' : code, error.message, {
        headers: { 'Retry-After': `${seconds}`, 'X-RateLimit-Reset': `${reset}` },
        cause,
      })
    }
    default: {
      const seconds = waitSeconds(error)
      // Only the operator can mend an account: clients that repeat a 503 would keep that from their users for a minute.
      const final = code === 'provider_account' ? { 'x-should-retry': 'false' } : {}
      return new TollgateError(503, code, error.message, { headers: { 'Retry-After': `${seconds}`, ...final }, cause })
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

const NOT_SENT = 'NOT_SENT'

/** Where no provider said anything. */
const NOTHING_STATED: Pick<ProviderError, 'status' | 'type' | 'code' | 'param' | 'retryAfterMs'> = {
  status: null,
  type: null,
  code: null,
  param: null,
  retryAfterMs: null,
}

/** What was never handed to a connection, as `fromConnection` reads it. */
export function notSent(): Error {
  return Object.assign(new Error('not sent'), { code: NOT_SENT })
}

/** A connection that failed, as an error of the provider. What came of a request that went out nobody knows. */
export function fromConnection(label: string, error: Error): ProviderError {
  if (error instanceof SigningError)
    return { ...NOTHING_STATED, kind: error.kind, message: ownMessage(error.kind, label), internal: error.message }
  const code = (error as { code?: unknown }).code
  const kind = kindOf(typeof code === 'string' ? code : '')
  const message = {
    timeout: `${label} took too long to answer. Try again, or ask for less output.`,
    unreachable: `${label} can't be reached. Try again shortly.`,
    failed: `${label} broke off its answer. Try again shortly.`,
  }[kind]
  return {
    ...NOTHING_STATED,
    kind,
    message,
    internal: `${code ?? ''} ${error.message}`.trim(),
    ...(kind === 'unreachable' || code === NOT_SENT ? {} : { isUnknown: true }),
  }
}

/** The call was held, but this process may not call upstream any more: it was stopped for a while, or can't renew its lease. */
export function leaseLost(): Failure {
  return {
    ...NOTHING_STATED,
    kind: 'unreachable',
    message: 'This instance can not make paid calls at the moment. Try again shortly.',
    code: 'ledger_unavailable',
    internal: 'the lease of this process is not valid',
    isOurs: true,
    clean: true,
  }
}

/** Every deployment is spared or has as many calls as it may. LiteLLM's words, which clients look for. */
export function noneFree(waitMs: number): Failure {
  const seconds = Math.max(1, Math.ceil(waitMs / 1000))
  return {
    ...NOTHING_STATED,
    kind: 'rate_limit',
    message: `No deployments available for selected model, Try again in ${seconds} seconds.`,
    type: 'throttling_error',
    retryAfterMs: waitMs,
    internal: 'every deployment is spared or full',
    isOurs: true,
    clean: true,
  }
}

/** A failure that the caller asked for. */
export function mockedFailure(kind: ProviderErrorKind): ProviderError {
  const message = 'This is a failure that the request asked for (mock_testing_*).'
  return {
    ...NOTHING_STATED,
    kind,
    message,
    internal: '',
    isOurs: true,
  }
}

/** No connection to the provider was free in time: the attempt was not made. */
export function noConnection(label: string): ProviderError {
  return {
    ...NOTHING_STATED,
    kind: 'overloaded',
    message: `All connections to ${label} that your organization may have are taken. Try again shortly.`,
    code: 'no_connection',
    internal: 'no connection was free in time',
    isOurs: true,
  }
}

function kindOf(code: string): 'timeout' | 'unreachable' | 'failed' {
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return 'timeout'
  if (
    ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'].includes(code)
  )
    return 'unreachable'
  return 'failed'
}
