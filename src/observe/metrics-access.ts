/**
 * Who may read /metrics: whoever sits on this machine, the holder of the metrics token, the operator. Asks no database, so that the
 * numbers can be read while it is away. Fails closed: behind a proxy every peer is on loopback, so a request that was forwarded, or
 * that asks for another host (a browser's page whose name was made to resolve to here), needs a key.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { TollgateError } from '../http/errors.ts'

const LOOPBACK = /^(?:::ffff:)?127\.\d+\.\d+\.\d+$|^::1$/
const LOOPBACK_HOST = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?$/i
/** What proxies add, each in its own words. */
const FORWARDED =
  /^(?:x-forwarded|x-original|x-envoy|x-proxy|x-amzn|x-azure|x-arr|cf|cdn)|^(?:.*-)?(?:forwarded|client-ip|real-ip|via)$/
const LEAST_TOKEN = 16

export interface MetricsKeys {
  masterKey: string | null
  /** Of its own, for a collector that should have no other right. */
  token: string | null
}

/** @throws {TollgateError} 401. */
export type MetricsAccess = (incoming: Pick<IncomingMessage, 'headers' | 'socket'>) => void

export function createMetricsAccess({ masterKey, token }: MetricsKeys): MetricsAccess {
  const accepted = [masterKey, token].flatMap((key) => (key === null ? [] : [digest(key)]))
  return ({ headers, socket }) => {
    const stated = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1]
    const hash = digest(stated ?? '')
    // Each is compared, whether or not another one fits.
    if (stated !== undefined && accepted.filter((key) => timingSafeEqual(key, hash)).length > 0) return
    if (isLocal(headers, socket.remoteAddress ?? '')) return
    throw new TollgateError(
      401,
      'metrics_key_required',
      'Send the master key or TOLLGATE_METRICS_TOKEN as: Authorization: Bearer <key>. Only this machine needs none.',
      { headers: { 'WWW-Authenticate': 'Bearer' } },
    )
  }
}

function isLocal(headers: IncomingMessage['headers'], address: string): boolean {
  if (!LOOPBACK.test(address) || !LOOPBACK_HOST.test(headers.host ?? '')) return false
  return !Object.keys(headers).some((name) => FORWARDED.test(name))
}

/** Why a metrics token is refused, as the end of "TOLLGATE_METRICS_TOKEN ..."; null when it is not. */
export function tokenTrouble(token: string): string | null {
  if (token.length < LEAST_TOKEN) return `is shorter than ${LEAST_TOKEN} characters`
  return /^[\x21-\x7e]+$/.test(token) ? null : "holds characters that can't be sent in a header"
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}
