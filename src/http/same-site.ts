/**
 * Whether a request that a cookie proves was meant by its user. A browser sends the cookie with whatever any page makes it send, and says
 * which page it was: a request that changes something is refused only where that shows a site that is neither ours nor listed.
 */
import type { IncomingMessage } from 'node:http'
import type { Cors } from './cors.ts'
import { TollgateError } from './errors.ts'
import type { ClientOf } from './trusted-proxies.ts'

const READING = ['GET', 'HEAD', 'OPTIONS']
/** Our own pages, and what people type. */
const OWN = ['same-origin', 'none']

export interface SameSiteOptions {
  cors: Pick<Cors, 'isListed'>
  clientOf: ClientOf
  publicUrl: string | null
}

/** @throws {TollgateError} 403. */
export type RequireSameSite = (request: Pick<IncomingMessage, 'method' | 'headers' | 'socket'>) => void

export function createRequireSameSite({ cors, clientOf, publicUrl }: SameSiteOptions): RequireSameSite {
  return (request) => {
    if (READING.includes(request.method ?? 'GET')) return
    const { origin } = request.headers
    if (origin !== undefined && cors.isListed(origin)) return
    const site = request.headers['sec-fetch-site']
    if (typeof site === 'string' && !OWN.includes(site)) throw refused()
    if (origin === undefined || origin === publicUrl) return
    const { isHttps, host } = clientOf(request)
    if (host !== null && origin === `${isHttps ? 'https' : 'http'}://${host}`) return
    throw refused()
  }
}

function refused(): TollgateError {
  return new TollgateError(
    403,
    'cross_site_request',
    'A page of another site sent this request with your session. Ask the operator to list the site in tollgate.cors.origins.',
  )
}
