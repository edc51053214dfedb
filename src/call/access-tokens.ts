/**
 * Tokens that credentials are exchanged for, by OAuth 2: one exchange for all who wait for it, kept until a minute before it ends. The
 * address stands in the credential, so it must be public and https, or one that the operator lists. Fails closed: without a token no
 * request goes out. No credential, token or response of the endpoint is ever logged.
 */
import { SigningError, type TokenRequest } from '../../providers/sign.ts'
import { type AddressGuard, guardedRequest } from '../http/address-guard.ts'
import { TollgateError } from '../http/errors.ts'

export type AccessTokens = (ask: TokenRequest) => Promise<string>

interface Token {
  value: string
  /** By the clock that was passed in. */
  until: number
}

const TIMEOUT_MS = 10_000
const ANSWER_BYTES_MAX = 64 * 1_024
/** A request that is on its way when a token ends is refused. */
const MARGIN_MS = 60_000
const USUAL_SECONDS = 3_600
/** Callers may bring credentials of their own; the oldest token is forgotten first. */
const TOKENS_MAX = 1_000

/** @param now monotonic, in milliseconds. @param mayBePlain whether the operator lists an address, which then need not be https. */
export function createAccessTokens(
  guard: AddressGuard,
  now: () => number,
  mayBePlain: (url: URL) => boolean = () => false,
): AccessTokens {
  const tokens = new Map<string, Token>()
  const waiting = new Map<string, Promise<string>>()

  async function fetchToken(ask: TokenRequest): Promise<string> {
    const url = URL.canParse(ask.url) ? new URL(ask.url) : null
    if (url === null || (url.protocol !== 'https:' && !mayBePlain(url)))
      throw new SigningError('auth', 'the address for tokens in the credential is not https')
    const form = new URLSearchParams(await ask.form()).toString()
    const { value, seconds } = await exchange(guard, url, form)
    const until = now() + Math.max(0, seconds * 1_000 - MARGIN_MS)
    tokens.delete(ask.id)
    for (const oldest of tokens.keys()) {
      if (tokens.size < TOKENS_MAX) break
      tokens.delete(oldest)
    }
    tokens.set(ask.id, { value, until })
    return value
  }

  return (ask) => {
    const known = tokens.get(ask.id)
    if (known !== undefined && known.until > now()) return Promise.resolve(known.value)
    const running = waiting.get(ask.id)
    if (running !== undefined) return running
    const fetched = fetchToken(ask).finally(() => waiting.delete(ask.id))
    waiting.set(ask.id, fetched)
    return fetched
  }
}

async function exchange(guard: AddressGuard, url: URL, form: string): Promise<{ value: string; seconds: number }> {
  const { status, body } = await guardedRequest(guard, url.href, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
    body: form,
    timeoutMs: TIMEOUT_MS,
    maxBytes: ANSWER_BYTES_MAX,
  }).catch((cause: unknown) => {
    if (cause instanceof TollgateError)
      throw new SigningError('auth', 'the address for tokens in the credential may not be called', { cause })
    throw new SigningError('unreachable', 'the endpoint for tokens did not respond')
  })
  const json = jsonOf(body)
  if (status === 200 && typeof json.access_token === 'string' && /^[\x21-\x7e]+$/.test(json.access_token)) {
    const { expires_in: seconds } = json
    return { value: json.access_token, seconds: typeof seconds === 'number' && seconds > 0 ? seconds : USUAL_SECONDS }
  }
  const kind = status === 429 || status >= 500 ? 'unreachable' : 'auth'
  throw new SigningError(kind, `the endpoint for tokens returned status ${status} ${wordOf(json.error)}`.trim())
}

function jsonOf(body: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** `invalid_grant`; whatever else stands there is not repeated. */
function wordOf(error: unknown): string {
  return typeof error === 'string' && /^[a-z_]{1,40}$/.test(error) ? error : ''
}
