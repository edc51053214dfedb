/**
 * Where a request carries its key: `Authorization: Bearer`, and where other SDKs put it. A header that the operator named, and
 * `x-litellm-api-key`, come before all others: an identity-aware proxy in front may fill `Authorization` with a token of its own. Of the
 * others, two that disagree are refused: nobody can tell whose call it is.
 */
import type { IncomingMessage } from 'node:http'
import { TollgateError } from '../http/errors.ts'
import { isGeminiPath } from '../http/gemini-path.ts'
import { requestPath } from '../http/request-path.ts'
import { requestQuery } from '../http/request-query.ts'

/** Comes before all others. */
export const LITELLM_HEADER = 'x-litellm-api-key'
/** Each holds the key alone, or `Bearer` and the key. */
export const KEY_HEADERS = ['x-service-key', 'x-api-key', 'api-key', 'x-goog-api-key'] as const
/** A gateway of Azure's in front sends its own here, besides the caller's: it counts where no other place has a key. */
export const LAST_HEADER = 'ocp-apim-subscription-key'
const AUTHORIZATION = 'authorization'
/** Longer than any token an identity provider issues, shorter than what a head may hold. */
const LONGEST = 16_384

/** @param configured `litellm_key_header_name`, in lower case. Null where no header names a key. @throws {TollgateError} 401. */
export function readKey(
  { headers, rawHeaders, url = '' }: Pick<IncomingMessage, 'headers' | 'rawHeaders' | 'url'>,
  configured: string | null,
): string | null {
  for (const name of configured === null ? [LITELLM_HEADER] : [configured, LITELLM_HEADER]) {
    const first = headers[name]
    if (first !== undefined) return keyIn(first)
  }
  const { authorization } = headers
  if (authorization !== undefined && isSentTwice(rawHeaders)) throw disagreeing()
  let found = authorization === undefined ? null : bearer(authorization)
  for (const name of KEY_HEADERS) {
    const value = headers[name]
    if (value === undefined) continue
    const key = keyIn(value)
    if (found !== null && found !== key) throw disagreeing()
    found = key
  }
  const inQuery = keyInQuery(url)
  const last = headers[LAST_HEADER]
  if (found === null && inQuery === null && last !== undefined) return keyIn(last)
  if (inQuery === null) return found
  if (found !== null && found !== inQuery) throw disagreeing()
  return inQuery
}

/** Where Gemini's documentation has it, on its paths alone: addresses are logged on the way. */
function keyInQuery(url: string): string | null {
  if (!url.includes('key=') || !isGeminiPath(requestPath(url))) return null
  const [key, ...others] = requestQuery({ url }).getAll('key')
  if (others.length > 0) throw disagreeing()
  return key === undefined ? null : keyIn(key)
}

/** Node keeps the first Authorization and drops the others without a word; a proxy in front may have read the last. */
function isSentTwice(rawHeaders: readonly string[]): boolean {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === AUTHORIZATION.length && name.toLowerCase() === AUTHORIZATION) count += 1
  }
  return count > 1
}

function bearer(authorization: string): string {
  const key = /^bearer +(\S+) *$/i.exec(authorization)?.[1]
  if (key === undefined || key.length > LONGEST) throw malformed()
  return key
}

function keyIn(value: string | string[]): string {
  const text = (Array.isArray(value) ? value.join(', ') : value).trim()
  const key = /^bearer /i.test(text) ? text.slice(7).trim() : text
  if (key === '' || key.length > LONGEST || /\s/.test(key)) throw malformed()
  return key
}

function malformed(): TollgateError {
  return unauthorized('invalid_authorization', 'Invalid authorization format. Use: Authorization: Bearer <api-key>')
}

function disagreeing(): TollgateError {
  return unauthorized(
    'ambiguous_api_key',
    'More than one header of this request carries a key, and they may differ. Send one key, or name it in x-litellm-api-key.',
  )
}

export function unauthorized(code: string, message: string): TollgateError {
  return new TollgateError(401, code, message, {
    type: 'authentication_error',
    headers: { 'WWW-Authenticate': 'Bearer', 'x-should-retry': 'false' },
  })
}
