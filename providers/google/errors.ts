/**
 * Why Google did not respond, from `{error}` or, on its OpenAI-compatible endpoint, `[{error}]`. A bad key is its 400, so the reason in
 * the details is read before the status. Only what is about the request itself is shown to callers.
 */

import { asObject, parseJson } from '../json.ts'
import type { ProviderError, ProviderErrorKind } from '../provider.ts'
import { textOf } from './parts.ts'

export const LABEL = 'Google'

interface Stated {
  status: number | null
  /** `INVALID_ARGUMENT`, `RESOURCE_EXHAUSTED` ... */
  word: string
  message: string
  reason: string
  retryAfterMs: number | null
  /** The limit that was hit is one of our account: a day's quota, or none at all. */
  accountLimit: boolean
}

export function readGoogleError(
  status: number,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  body: Buffer,
): ProviderError {
  const stated = errorOf(parseJson(body))
  const seconds = Number(headers['retry-after'])
  const waits = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null
  return describe({ ...stated, status, retryAfterMs: stated.retryAfterMs ?? waits })
}

/** An error in a stream, or in a whole response, whose status was 200. */
export function readGoogleErrorFrame(body: unknown): ProviderError {
  return describe(errorOf(body))
}

function errorOf(body: unknown): Stated {
  const first: unknown = Array.isArray(body) ? body[0] : body
  const error = asObject(asObject(first)?.error) ?? {}
  const details = (Array.isArray(error.details) ? error.details : []).map((detail) => asObject(detail) ?? {})
  const delay = details.map((detail) => detail.retryDelay).find((value) => typeof value === 'string')
  const seconds = typeof delay === 'string' ? Number.parseFloat(delay) : Number.NaN
  return {
    status: typeof error.code === 'number' && error.code >= 400 && error.code < 600 ? error.code : null,
    word: textOf(error.status),
    message: textOf(error.message),
    reason: details.map((detail) => textOf(detail.reason)).find((reason) => reason !== '') ?? '',
    retryAfterMs: Number.isFinite(seconds) && seconds >= 0 ? Math.ceil(seconds * 1000) : null,
    accountLimit: details.some(isAccountLimit),
  }
}

function isAccountLimit(detail: Record<string, unknown>): boolean {
  const violations = Array.isArray(detail.violations) ? detail.violations : []
  return violations.some((value) => {
    const violation = asObject(value)
    return /PerDay/i.test(textOf(violation?.quotaId)) || textOf(violation?.quotaValue) === '0'
  })
}

function describe(stated: Stated): ProviderError {
  const kind = kindOf(stated)
  const shown = SHOWN.has(kind) && stated.message !== '' ? scrub(stated.message) : OWN[kind]
  return {
    kind,
    status: stated.status,
    message: shown,
    type: SHOWN.has(kind) ? 'invalid_request_error' : null,
    code: CODES[kind] ?? null,
    param: null,
    retryAfterMs: stated.retryAfterMs,
    // What is said about a request may quote the prompt, which no log may hold.
    internal: SHOWN.has(kind)
      ? stated.word
      : scrub(`${stated.word} ${stated.reason} ${stated.message}`.trim()).slice(0, 500),
  }
}

const SHOWN: ReadonlySet<ProviderErrorKind> = new Set([
  'bad_request',
  'model_not_found',
  'too_large',
  'context_length',
  'content_filter',
])
const CODES: Partial<Record<ProviderErrorKind, string>> = {
  model_not_found: 'model_not_found',
  context_length: 'context_length_exceeded',
}

/** Troubles of our account: a bad or suspended key, a country that is not served, billing that is off. */
const ACCOUNT = /^(?:API_KEY|ACCESS_TOKEN|CREDENTIALS|SERVICE_DISABLED|BILLING_DISABLED|CONSUMER_)/

function kindOf({ status, word, message, reason, accountLimit }: Stated): ProviderErrorKind {
  if (ACCOUNT.test(reason) || /\bAPI key (?:not|expired|is|has|was|invalid)|valid API key/i.test(message)) return 'auth'
  if (status === 401 || status === 403 || word === 'UNAUTHENTICATED' || word === 'PERMISSION_DENIED') return 'auth'
  if (word === 'FAILED_PRECONDITION') return 'auth'
  if (status === 429 || word === 'RESOURCE_EXHAUSTED') return accountLimit ? 'quota' : 'rate_limit'
  if (status === 402) return 'quota'
  if (status === 404 || word === 'NOT_FOUND') return 'model_not_found'
  if (status === 413 || /payload size exceeds/i.test(message)) return 'too_large'
  if (status === 503 || word === 'UNAVAILABLE') return 'overloaded'
  if (status === 504 || status === 408 || word === 'DEADLINE_EXCEEDED') return 'timeout'
  if (/token count.{0,300}exceeds the maximum/i.test(message)) return 'context_length'
  if (word === 'INVALID_ARGUMENT' || word === 'OUT_OF_RANGE') return 'bad_request'
  return status !== null && status < 500 && status !== 499 ? 'bad_request' : 'failed'
}

const OWN: Readonly<Record<ProviderErrorKind, string>> = {
  bad_request: `${LABEL} refused this request as malformed.`,
  model_not_found: `${LABEL} does not know this model.`,
  too_large: `This request is larger than ${LABEL} takes. Send less, or smaller files.`,
  context_length: `This request has more tokens than the model's context window. Send less.`,
  content_filter: `${LABEL} refused this request because of its content.`,
  rate_limit: `${LABEL} limits the rate of calls right now. Try again after the time in Retry-After.`,
  quota: `${LABEL} did not accept this gateway's account. The operator has been told; trying again later may help.`,
  auth: `${LABEL} did not accept this gateway's account. The operator has been told; trying again later may help.`,
  overloaded: `${LABEL} is overloaded. Try again shortly.`,
  failed: `${LABEL} failed to answer. Try again shortly.`,
  timeout: `${LABEL} took too long to answer. Try again, or ask for less output.`,
  unreachable: `${LABEL} can't be reached. Try again shortly.`,
}

/** Keys, and projects by name or number. */
function scrub(message: string): string {
  return message
    .replace(/\bAIza[\w*-]{4,}/g, '[key]')
    .replace(/\b(?:ya29|AQ)\.[\w.*-]{8,}/g, '[key]')
    .replace(/([?&]key=)[^&\s"']+/g, '$1[key]')
    .replace(/\b(projects?)([/: ]+(?:number[: ]*)?)[\w-]*\d[\w-]*/gi, '$1$2[project]')
    .replace(/\bproject_number:\d+/gi, '[project]')
}
