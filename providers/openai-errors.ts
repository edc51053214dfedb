/**
 * Why an OpenAI-dialect provider did not answer: by structured code and status first, by text never. What a caller is shown
 * is freed of account ids and key fragments; bodies of 401 and 403 are never shown.
 */
import { parseJson } from './json.ts'
import type { ProviderError, ProviderErrorKind } from './provider.ts'

type Headers = Readonly<Record<string, string | string[] | undefined>>

interface ErrorMembers {
  message: string | null
  type: string | null
  code: string | null
  param: string | null
}

export function readOpenAiError(label: string, status: number, headers: Headers, body: Buffer): ProviderError {
  return describe(label, status, errorMembers(parseJson(body)), retryAfterMs(headers), body.toString('utf8', 0, 500))
}

/** An error frame inside a stream whose status was 200. */
export function readOpenAiErrorFrame(label: string, body: unknown): ProviderError {
  const members = errorMembers(body)
  const stated = (body as { error?: { status_code?: unknown; code?: unknown } } | null)?.error
  const status = [stated?.status_code, stated?.code].find(
    (value) => typeof value === 'number' && value >= 400 && value < 600,
  )
  return describe(label, typeof status === 'number' ? status : null, members, null, JSON.stringify(body).slice(0, 500))
}

function describe(
  label: string,
  status: number | null,
  members: ErrorMembers,
  retry: number | null,
  internal: string,
): ProviderError {
  const kind = kindOf(status, members)
  const { type, code, param } = members
  const aboutRequest = kind === 'bad_request' || kind === 'model_not_found' || kind === 'too_large'
  const shown = aboutRequest ? members.message : null
  return {
    kind,
    status,
    message: shown ?? ownMessage(kind, label),
    type,
    code,
    param,
    retryAfterMs: retry,
    // What a provider says about a request may quote the prompt, which no log and no row may hold.
    internal: aboutRequest ? [type, code, param].filter((part) => part !== null).join(' ') : scrub(internal),
  }
}

/** Account trouble that comes as 400 or 429. */
const OUT_OF_MONEY = new Set(['insufficient_quota', 'billing_hard_limit_reached', 'billing_not_active'])

function kindOf(status: number | null, { code, type }: ErrorMembers): ProviderErrorKind {
  if (status === 402 || type === 'insufficient_quota' || OUT_OF_MONEY.has(code ?? '')) return 'quota'
  if (code === 'invalid_api_key' || status === 401 || status === 403) return 'auth'
  if (code === 'rate_limit_exceeded' || status === 429) return 'rate_limit'
  if (code === 'model_not_found' || status === 404) return 'model_not_found'
  if (status === 413) return 'too_large'
  if (status === 503 || status === 529 || code === 'overloaded') return 'overloaded'
  if (status === 408 || status === 504) return 'timeout'
  if (status !== null && status >= 400 && status < 500) return 'bad_request'
  return type === 'invalid_request_error' && status === null ? 'bad_request' : 'failed'
}

function ownMessage(kind: ProviderErrorKind, label: string): string {
  switch (kind) {
    case 'rate_limit':
      return `${label} limits the rate of calls right now. Try again after the time in Retry-After.`
    case 'quota':
    case 'auth':
      return `${label} did not accept this gateway's account. The operator has been told; trying again later may help.`
    case 'overloaded':
      return `${label} is overloaded. Try again shortly.`
    case 'timeout':
      return `${label} took too long to answer. Try again, or ask for less output.`
    case 'model_not_found':
      return `${label} does not know this model.`
    case 'bad_request':
    case 'too_large':
      return `${label} refused this request as malformed.`
    default:
      return `${label} failed to answer. Try again shortly.`
  }
}

/**
 * Account ids and keys, whole or masked, as providers put them into messages. They hold a digit or a capital, by which
 * `user_location`, a parameter's name, is told from `user-Ab12Cd34`.
 */
function scrub(text: string): string {
  return text
    .replace(/\b(sk|pk|gsk|xai|hf|uc)[-_][\w*-]{4,}[\w*.-]*/gi, '[key]')
    .replace(/\bkey[-_](?=[\w*.-]*[\dA-Z*])[\w*-]{4,}[\w*.-]*/g, '[key]')
    .replace(/\b(org|proj|project|user|acct)[-_](?=[\w-]*[\dA-Z])[\w-]{6,}/g, '[account]')
}

function errorMembers(body: unknown): ErrorMembers {
  const error = (body as { error?: unknown } | null)?.error
  if (typeof error === 'string')
    return { message: error, type: null, code: text((body as { code?: unknown }).code), param: null }
  const { message, type, code, param } = (error ?? {}) as Record<string, unknown>
  return { message: text(message), type: text(type), code: text(code), param: text(param) }
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? scrub(value) : null
}

/** `retry-after-ms`, or `retry-after` in seconds. A date is left aside: no provider sends one. */
function retryAfterMs(headers: Headers): number | null {
  const ms = Number(headers['retry-after-ms'])
  if (Number.isFinite(ms) && ms >= 0) return ms
  const seconds = Number(headers['retry-after'])
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null
}
