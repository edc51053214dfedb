/**
 * Why an OpenAI-dialect provider did not respond: by structured code and status first, by text last. What a caller is shown
 * is freed of account ids and key fragments; bodies of 401 and 403 are never shown.
 */
import { asObject, parseJson } from './json.ts'
import type { ErrorMembers, OpenAiFacts } from './openai-facts.ts'
import { ABOUT_REQUEST, type ProviderError, type ProviderErrorKind } from './provider.ts'

type Headers = Readonly<Record<string, string | string[] | undefined>>

type Dialect = Pick<OpenAiFacts, 'label' | 'errorKind'>

export function readOpenAiError(dialect: Dialect, status: number, headers: Headers, body: Buffer): ProviderError {
  const parsed = parseJson(body)
  const members = errorMembers(parsed)
  if (members.message === null && isText(headers, parsed)) members.message = shownText(body.toString('utf8', 0, 500))
  const wait = retryAfterMs(headers) ?? statedWaitMs(members.message)
  return describe(dialect, status, members, wait, body.toString('utf8', 0, 500))
}

/** An error frame inside a stream, or in a whole response, whose status was 200. */
export function readOpenAiErrorFrame(dialect: Dialect, body: unknown): ProviderError {
  const members = errorMembers(body)
  const stated = asObject(asObject(body)?.error)
  const status = [stated?.status_code, stated?.code].find(
    (value) => typeof value === 'number' && value >= 400 && value < 600,
  )
  const known = typeof status === 'number' ? status : null
  return describe(dialect, known, members, statedWaitMs(members.message), JSON.stringify(body ?? null).slice(0, 500))
}

function describe(
  dialect: Dialect,
  status: number | null,
  members: ErrorMembers,
  retry: number | null,
  internal: string,
): ProviderError {
  const kind = dialect.errorKind?.(status, members) ?? kindOf(status, members)
  const { type, code, param } = members
  const aboutRequest = ABOUT_REQUEST.has(kind)
  const shown = aboutRequest ? members.message : null
  return {
    kind,
    status,
    message: shown ?? ownMessage(kind, dialect.label),
    type,
    code,
    param,
    retryAfterMs: retry,
    // What a provider says about a request may quote the prompt, which no log and no row may hold.
    internal: aboutRequest ? [type, code, param].filter((part) => part !== null).join(' ') : scrub(internal),
    ...(kind === 'bad_request' && rejectsStreamOptions(members) ? { rejects: 'usage_question' as const } : {}),
  }
}

/** Account trouble that comes as 400 or 429. */
const OUT_OF_MONEY = new Set(['insufficient_quota', 'billing_hard_limit_reached', 'billing_not_active'])
const FILTERED = new Set(['content_filter', 'content_policy_violation', 'moderation_blocked'])
/** Last of all, by what is said: most servers have no code for it. */
const TOO_LONG =
  /context.?(?:length|window|size)|maximum (?:prompt|input|sequence) length|prompt is too long|too many (?:input )?tokens in|input is too long|reduce the length of/i

function kindOf(status: number | null, { code, type, message }: ErrorMembers): ProviderErrorKind {
  if (status === 402 || type === 'insufficient_quota' || OUT_OF_MONEY.has(code ?? '')) return 'quota'
  if (code === 'context_length_exceeded') return 'context_length'
  if (FILTERED.has(code ?? '')) return 'content_filter'
  if (code === 'invalid_api_key' || status === 401 || status === 403) return 'auth'
  if (status === 413) return 'too_large'
  if (code === 'rate_limit_exceeded' || status === 429) return 'rate_limit'
  if (code === 'model_not_found' || code === 'model_not_supported' || status === 404) return 'model_not_found'
  if (status === 503 || status === 529 || status === 498 || code === 'overloaded') return 'overloaded'
  if (status === 408 || status === 504) return 'timeout'
  if (status !== null && status >= 400 && status < 500)
    return message !== null && TOO_LONG.test(message) ? 'context_length' : 'bad_request'
  return type === 'invalid_request_error' && status === null ? 'bad_request' : 'failed'
}

/** By the parameter it names; the words may quote the caller's, and decide only where it names none. */
function rejectsStreamOptions({ param, message }: ErrorMembers): boolean {
  return param === null ? /stream_options|include_usage/.test(message ?? '') : /^stream_options/.test(param)
}

/** What a caller is told where nothing the provider said may be shown. */
export function ownMessage(kind: ProviderErrorKind, label: string): string {
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
      return `${label} refused this request as malformed.`
    case 'too_large':
      return `This request is larger than ${label} takes. Send less.`
    case 'context_length':
      return 'The messages are longer than the context of this model. Send less, or choose a model with a larger one.'
    case 'unreachable':
      return `${label} can't be reached. Try again shortly.`
    case 'content_filter':
      return `${label} filtered this request for its content.`
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
    .replace(/\bkey[-_](?=[\w*.-]{0,200}[\dA-Z*])[\w*-]{4,}[\w*.-]*/g, '[key]')
    .replace(/\b[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}\b/gi, '[account]')
    .replace(/(?<![\w*])\w{1,8}\*{2,}\w{0,8}/g, '[key]')
    .replace(/\b(org|proj|project|user|acct)[-_](?=[\w-]{0,200}[\dA-Z])[\w-]{6,}/g, '[account]')
}

/** OpenAI's envelope, and the others seen: a plain string, `detail`, `message` on top, an array of one, a router's cause. */
function errorMembers(parsed: unknown): ErrorMembers {
  const body = asObject(Array.isArray(parsed) ? parsed[0] : parsed)
  const error = body?.error ?? body?.detail ?? body
  if (typeof error === 'string')
    return { message: shownText(error), type: shownText(body?.error_type), code: codeOf(body?.code), param: null }
  const { message, type, code, param, reason } = asObject(error) ?? {}
  return {
    message: causeOf(error) ?? shownText(message),
    type: shownText(type),
    code: codeOf(code) ?? codeOf(reason),
    param: shownText(param),
  }
}

/** A router tells what its provider said in `metadata.raw`; its own message says only that there was an error. */
function causeOf(error: unknown): string | null {
  const raw = asObject(asObject(error)?.metadata)?.raw
  if (typeof raw !== 'string' || raw === '') return null
  const parsed = asObject(parseJson(raw))
  return parsed === null ? shownText(raw.slice(0, 500)) : errorMembers(parsed).message
}

/** An error of a server whose response is not JSON, or a bare JSON string. A page of HTML says nothing. */
function isText(headers: Headers, parsed: unknown): boolean {
  return typeof parsed === 'string' || (parsed === null && /^text\/plain/i.test(String(headers['content-type'] ?? '')))
}

/** More than any error has to say, and little enough for the patterns below, some of which take its square. */
const TEXT_MAX = 2_000

function shownText(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? scrub(value.slice(0, TEXT_MAX)) : null
}

/** A word. Some servers have a sentence there, which no program can look for. */
function codeOf(value: unknown): string | null {
  return typeof value === 'string' && /^[\w.:/-]{1,200}$/.test(value) ? scrub(value) : null
}

/** `Please try again in 1m2.5s.` Milliseconds; null where nothing of the kind is said. */
function statedWaitMs(message: string | null): number | null {
  const said = /try again in ((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)/i.exec(message ?? '')?.[1]
  if (said === undefined) return null
  const unit: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }
  let ms = 0
  for (const [, amount, name] of said.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/gi)) {
    ms += Number(amount) * (unit[String(name).toLowerCase()] ?? 0)
  }
  return Math.ceil(ms)
}

/** `retry-after-ms`, or `retry-after` in seconds. A date is left aside: no provider sends one. */
function retryAfterMs(headers: Headers): number | null {
  const ms = Number(headers['retry-after-ms'])
  if (Number.isFinite(ms) && ms >= 0) return ms
  const seconds = Number(headers['retry-after'])
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null
}
