import type { IncomingHttpHeaders } from 'node:http'

/** Whether a reader takes an answer in this content coding. */
export function acceptsCoding(headers: Pick<IncomingHttpHeaders, 'accept-encoding'>, coding: 'br' | 'gzip'): boolean {
  return new RegExp(`\\b${coding}\\b`).test(String(headers['accept-encoding'] ?? ''))
}
