/**
 * Why Claude did not respond: by the error's type first, then by status. Some things are only said in words: that the account is
 * out of money (a 400), that the conversation is longer than the model's window, that the response was withheld. What a caller is shown is freed of keys and ids;
 * bodies that speak of our account are never shown.
 */
import { asObject, parseJson } from '../json.ts'
import { ABOUT_REQUEST, type ProviderError, type ProviderErrorKind } from '../provider.ts'

type Headers = Readonly<Record<string, string | string[] | undefined>>

const KINDS: Readonly<Record<string, ProviderErrorKind>> = {
  authentication_error: 'auth',
  permission_error: 'auth',
  billing_error: 'quota',
  not_found_error: 'model_not_found',
  request_too_large: 'too_large',
  rate_limit_error: 'rate_limit',
  overloaded_error: 'overloaded',
  timeout_error: 'timeout',
  api_error: 'failed',
}

const OUT_OF_MONEY = /credit balance is too low|usage limits|spend(?:ing)? limit/i
const FILTERED = /blocked by content filtering/i
const TOO_LONG = /prompt is too long|exceeds? (?:the )?context (?:limit|window)|context window/i

export function readClaudeError(status: number, headers: Headers, body: Buffer): ProviderError {
  const seconds = Number(headers['retry-after'])
  const retryAfterMs = headers['retry-after'] !== undefined && seconds >= 0 ? seconds * 1000 : null
  return describe(status, parseJson(body), Number.isFinite(retryAfterMs) ? retryAfterMs : null, body)
}

/** An error event of a stream, or an error where a response was due; its status was 200. */
export function readClaudeErrorEvent(event: unknown): ProviderError {
  return describe(null, event, null, Buffer.from(JSON.stringify(event)))
}

/** The connection ended before the response did. */
export function brokenOff(): ProviderError {
  const message = 'Anthropic broke off its answer. Try again shortly.'
  const internal = 'the stream ended without message_stop'
  return { ...BLANK, kind: 'failed', message, internal }
}

const BLANK = { status: null, type: null, code: null, param: null, retryAfterMs: null }

function describe(status: number | null, body: unknown, retryAfterMs: number | null, bytes: Buffer): ProviderError {
  const error = asObject(asObject(body)?.error)
  const type = typeof error?.type === 'string' ? error.type : null
  const words = typeof error?.message === 'string' && error.message !== '' ? error.message : null
  const kind = kindOf(status, type, words ?? '')
  const aboutRequest = ABOUT_REQUEST.has(kind)
  return {
    kind,
    status,
    message: (aboutRequest && words !== null ? scrub(words) : null) ?? ownMessage(kind),
    type: aboutRequest ? type : null,
    code: kind === 'context_length' ? 'context_length_exceeded' : null,
    param: null,
    retryAfterMs,
    // What is said about a request may quote the prompt, which no log may hold.
    internal: aboutRequest ? (type ?? '') : scrub(bytes.toString('utf8', 0, 500)),
  }
}

function kindOf(status: number | null, type: string | null, words: string): ProviderErrorKind {
  const isRequest = type === 'invalid_request_error' || (type === null && status === 400)
  if (isRequest && OUT_OF_MONEY.test(words)) return 'quota'
  if (isRequest && TOO_LONG.test(words)) return 'context_length'
  if (FILTERED.test(words)) return 'content_filter'
  const known = type !== null && Object.hasOwn(KINDS, type) ? KINDS[type] : undefined
  if (known !== undefined) return known
  if (status === 401 || status === 403) return 'auth'
  if (status === 402) return 'quota'
  if (status === 404) return 'model_not_found'
  if (status === 408 || status === 504) return 'timeout'
  if (status === 413) return 'too_large'
  if (status === 429) return 'rate_limit'
  if (status === 503 || status === 529) return 'overloaded'
  return isRequest || (status !== null && status >= 400 && status < 500) ? 'bad_request' : 'failed'
}

function ownMessage(kind: ProviderErrorKind): string {
  switch (kind) {
    case 'rate_limit':
      return 'Anthropic limits the rate of calls right now. Try again after the time in Retry-After.'
    case 'quota':
    case 'auth':
      return "Anthropic did not accept this gateway's account. The operator has been told; trying again later may help."
    case 'overloaded':
      return 'Anthropic is overloaded. Try again shortly.'
    case 'timeout':
      return 'Anthropic took too long to answer. Try again, or ask for less output.'
    case 'model_not_found':
      return 'Anthropic does not know this model.'
    case 'context_length':
      return "The conversation is longer than the model's context window. Shorten it."
    case 'content_filter':
      return 'Anthropic withheld the answer by its content policy.'
    case 'bad_request':
    case 'too_large':
      return 'Anthropic refused this request as malformed.'
    default:
      return 'Anthropic failed to answer. Try again shortly.'
  }
}

function scrub(text: string): string {
  return text
    .replace(/\bsk-[\w*-]{4,}[\w*.-]*/g, '[key]')
    .replace(/\b(?:req|org|wrkspc|user)_[A-Za-z0-9]{8,}/g, '[id]')
    .replace(/\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/gi, '[id]')
}
