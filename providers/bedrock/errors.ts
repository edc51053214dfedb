/**
 * Why Amazon Bedrock did not respond: by the name of the exception, which stands in a header or, within a stream, beside it; by the
 * status where there is none. What a caller is shown is freed of accounts and names of the operator's.
 */
import { asObject, parseJson } from '../json.ts'
import { ownMessage } from '../openai-errors.ts'
import { ABOUT_REQUEST, type ProviderError, type ProviderErrorKind } from '../provider.ts'

export const LABEL = 'Amazon Bedrock'

type Headers = Readonly<Record<string, string | string[] | undefined>>

const KINDS: Readonly<Record<string, ProviderErrorKind>> = {
  throttlingexception: 'rate_limit',
  toomanyrequestsexception: 'rate_limit',
  servicequotaexceededexception: 'quota',
  resourcenotfoundexception: 'model_not_found',
  modelnotreadyexception: 'overloaded',
  modeltimeoutexception: 'timeout',
  modelerrorexception: 'failed',
  modelstreamerrorexception: 'failed',
  internalserverexception: 'failed',
  internalfailure: 'failed',
  serviceunavailableexception: 'overloaded',
  serviceunavailable: 'overloaded',
  validationexception: 'bad_request',
  validationerror: 'bad_request',
}

/** A key that is wrong, expired or not allowed; a model that the account has not asked for. */
const ACCOUNT =
  /^(?:accessdenied|unrecognizedclient|invalidsignature|incompletesignature|signaturedoesnotmatch|expiredtoken|requestexpired|missingauthenticationtoken|invalidclienttokenid|notauthorized|optinrequired|badcscore|ftuformnotfilled)/
const ACCOUNT_WORDS = /use case details|is not authorized|don't have access to the model|security token/i
const A_DAY = /tokens per day|requests per day/i
const NO_SUCH_MODEL =
  /model identifier is invalid|on-demand throughput|end of its life|model.{0,80}not (?:found|supported)/i
const TOO_LONG =
  /input is too long|prompt is too long|exceeds? (?:the )?(?:context|maximum context)|too many input tokens/i
const TOO_LARGE = /request body.{0,40}too large|exceed.{0,40}content length/i
const FILTERED = /blocked by content filter/i

export function readBedrockError(status: number, headers: Headers, body: Buffer): ProviderError {
  const json = asObject(parseJson(body))
  const named = headers['x-amzn-errortype'] ?? json?.__type ?? json?.code
  const seconds = Number(headers['retry-after'])
  const retryAfterMs = headers['retry-after'] !== undefined && seconds >= 0 ? seconds * 1000 : null
  return describe(typeof named === 'string' ? named : '', wordsOf(json), { status, retryAfterMs })
}

/** An exception in a stream, whose status was 200. */
export function readBedrockException(name: string, body: Buffer): ProviderError {
  return describe(name, wordsOf(asObject(parseJson(body))), { status: null, retryAfterMs: null })
}

/** The bytes are no event stream. */
export function unreadableStream(cause: unknown): ProviderError {
  const internal = cause instanceof Error ? cause.message.slice(0, 200) : ''
  return { ...BLANK, kind: 'failed', message: `${LABEL} broke off its answer. Try again shortly.`, internal }
}

const BLANK = { status: null, type: null, code: null, param: null, retryAfterMs: null }

function wordsOf(json: Readonly<Record<string, unknown>> | null): string {
  const words = json?.message ?? json?.Message
  return typeof words === 'string' ? words.slice(0, 2_000) : ''
}

/** `named`: `ThrottlingException`, `throttlingException`, `ValidationException:http://internal.amazon.com/...`, `com.amazon#Name`. */
function describe(named: string, words: string, at: Pick<ProviderError, 'status' | 'retryAfterMs'>): ProviderError {
  const name = /(?:^|#)(\w+)(?=$|:)/.exec(named)?.[1] ?? ''
  const kind = kindOf(name.toLowerCase(), words, at.status)
  const aboutRequest = ABOUT_REQUEST.has(kind)
  return {
    ...BLANK,
    ...at,
    kind,
    message: aboutRequest && words !== '' ? scrub(words) : ownMessage(kind, LABEL),
    type: aboutRequest ? 'invalid_request_error' : null,
    code: kind === 'context_length' ? 'context_length_exceeded' : null,
    // What is said about a request may quote the prompt, which no log may hold.
    internal: aboutRequest ? name : scrub(`${name} ${words}`.trim()).slice(0, 500),
  }
}

function kindOf(name: string, words: string, status: number | null): ProviderErrorKind {
  const known = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined
  if (ACCOUNT.test(name) || (known !== 'rate_limit' && ACCOUNT_WORDS.test(words))) return 'auth'
  if (known === 'rate_limit') return A_DAY.test(words) ? 'quota' : 'rate_limit'
  if (known === 'bad_request' || (known === undefined && status === 400)) return refusedFor(words)
  if (known !== undefined) return known
  if (status === 401 || status === 403) return 'auth'
  if (status === 404) return 'model_not_found'
  if (status === 408 || status === 504) return 'timeout'
  if (status === 413) return 'too_large'
  if (status === 429) return 'rate_limit'
  if (status === 503) return 'overloaded'
  return status !== null && status >= 400 && status < 424 ? 'bad_request' : 'failed'
}

function refusedFor(words: string): ProviderErrorKind {
  if (TOO_LONG.test(words)) return 'context_length'
  if (TOO_LARGE.test(words)) return 'too_large'
  if (FILTERED.test(words)) return 'content_filter'
  return NO_SUCH_MODEL.test(words) ? 'model_not_found' : 'bad_request'
}

/** Names of resources, accounts, keys. */
function scrub(text: string): string {
  return text
    .replace(/\barn:aws[\w-]*:[\w:/.-]+/g, '[resource]')
    .replace(/\b(?:AKIA|ASIA|ABSK)\w{8,}/g, '[key]')
    .replace(/\b\d{12}\b/g, '[account]')
}
