/**
 * What a repeat can't mend, for clients that take no header's word and repeat every 503 silently: Codex thirty times, opencode nine times,
 * and whatever has the type `server_error`. Told as a mistake of the request (400), they show our message at once.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { TollgateError } from '../http/errors.ts'

const DEAF = /^(?:codex|opencode\/)/i

export function finalError(error: TollgateError, asked: IncomingHttpHeaders): TollgateError {
  const { status, code, message, param, headers, fields, cause } = error
  if (status < 500 || headers['x-should-retry'] !== 'false' || !isDeaf(asked)) return error
  return new TollgateError(400, code, message, { param, headers, fields, cause })
}

function isDeaf({ originator, 'user-agent': agent }: IncomingHttpHeaders): boolean {
  return [originator, agent].some((name) => typeof name === 'string' && DEAF.test(name))
}
