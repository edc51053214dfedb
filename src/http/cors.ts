/**
 * Which pages of other sites may call from a browser. Listed origins may, with cookies; `*` lets all of them, without cookies: a page
 * that has a key may use it. A preflight needs no credential: browsers send none. One from an origin that is not listed is refused.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { TollgateError } from './errors.ts'

/** Browsers hide every other header of a response from the page. */
const EXPOSED = [
  ...['X-Request-ID', 'x-litellm-call-id', 'X-Provider-Used', 'x-litellm-model-id', 'x-litellm-model-group'],
  ...['x-litellm-model-api-base', 'X-Cost-Incurred', 'X-Credits-Used', 'X-Cost-Provenance', 'X-Credits-Remaining'],
  ...[
    'x-litellm-response-cost',
    'x-litellm-response-cost-input',
    'x-litellm-response-cost-output',
    'x-litellm-key-spend',
  ],
  ...[
    'X-BYOK',
    'X-BYOK-Provider',
    'X-Org-Credits',
    'X-Max-Tokens-Applied',
    'X-Tollgate-Settlement',
    'X-Tollgate-Waited',
  ],
  ...['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset', 'X-RateLimit-Tier', 'Retry-After'],
  ...['x-should-retry', 'x-litellm-response-duration-ms', 'x-litellm-overhead-duration-ms'],
  ...['x-litellm-attempted-retries', 'x-litellm-attempted-fallbacks'],
].join(', ')
const METHODS = 'GET, POST, PUT, PATCH, DELETE, OPTIONS'
const MAX_AGE_SECONDS = '600'
/** One label of a name or several, as they stand for `*`; and a port. */
const LABELS = '[a-z0-9-]+(?:\\.[a-z0-9-]+)*'
const PORT = '\\d{1,5}'
const ENTRY = /^https?:\/\/(?:\*\.)?(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:]+\])(?::(?:\d{1,5}|\*))?$/

export interface Cors {
  /** Of a listed origin; `*` lists none, because it gives no right to act with somebody's cookie. */
  isListed(origin: string): boolean
  /** Whether this is a preflight that may pass: its headers are set. @throws {TollgateError} 400 for a stranger's. */
  preflight(incoming: IncomingMessage, outgoing: ServerResponse): boolean
  /** Lets the page read the response, where it may. */
  open(incoming: IncomingMessage, outgoing: ServerResponse): void
}

/** @param origins `https://app.example.com`, `https://*.example.com`, `http://localhost:*`, `*`. @throws {Error} for anything else. */
export function createCors(origins: readonly string[]): Cors {
  const patterns = origins.filter((entry) => entry !== '*').map(patternOf)
  const isOpen = origins.includes('*')
  const isListed = (origin: string) => patterns.some((pattern) => pattern.test(origin.toLowerCase()))

  /** Whether a page of this origin may call. */
  function admit(origin: string, outgoing: ServerResponse): boolean {
    const hasCookies = isListed(origin)
    if (!hasCookies && !isOpen) return false
    outgoing.setHeader('Access-Control-Allow-Origin', hasCookies ? origin : '*')
    if (hasCookies) outgoing.setHeader('Access-Control-Allow-Credentials', 'true')
    return true
  }

  return {
    isListed,
    preflight({ method, headers }, outgoing) {
      const { origin } = headers
      if (method !== 'OPTIONS' || origin === undefined || headers['access-control-request-method'] === undefined)
        return false
      outgoing.setHeader('Vary', 'Origin')
      if (!admit(origin, outgoing)) throw refused()
      outgoing.setHeader('Access-Control-Allow-Methods', METHODS)
      // SDKs send headers of their own: x-stainless-os, x-stainless-retry-count. None of ours gives a page a right.
      const asked = headers['access-control-request-headers']
      if (asked !== undefined) outgoing.setHeader('Access-Control-Allow-Headers', asked)
      outgoing.setHeader('Access-Control-Max-Age', MAX_AGE_SECONDS)
      return true
    },
    open({ headers: { origin } }, outgoing) {
      // A cache must not give the response for one origin to another.
      if (patterns.length > 0) outgoing.setHeader('Vary', 'Origin')
      if (origin !== undefined && admit(origin, outgoing)) outgoing.setHeader('Access-Control-Expose-Headers', EXPOSED)
    },
  }
}

function patternOf(entry: string): RegExp {
  const text = entry.toLowerCase()
  if (!ENTRY.test(text)) throw new Error(`${JSON.stringify(entry)} is not an origin`)
  const source = text
    .replaceAll(/[.[\]]/g, '\\$&')
    .replace('//*', `//${LABELS}`)
    .replace(/:\*$/, `:${PORT}`)
  return new RegExp(`^${source}$`)
}

function refused(): TollgateError {
  return new TollgateError(
    400,
    'origin_not_allowed',
    'Disallowed CORS origin. Ask the operator to list it in tollgate.cors.origins.',
  )
}
