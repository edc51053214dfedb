/** What browsers are told about every response: no guessing of its type, no frame around it, nothing of its address for other sites. */
import type { ServerResponse } from 'node:http'

const YEAR_SECONDS = 31_536_000

/** @param isHttps over plain HTTP browsers ignore HSTS, and one that believed it would lock out a machine without TLS. */
export function setSecurityHeaders(outgoing: ServerResponse, isHttps: boolean): void {
  outgoing.setHeader('X-Content-Type-Options', 'nosniff')
  outgoing.setHeader('Content-Security-Policy', "frame-ancestors 'none'")
  outgoing.setHeader('Referrer-Policy', 'no-referrer')
  if (isHttps) outgoing.setHeader('Strict-Transport-Security', `max-age=${YEAR_SECONDS}`)
}
