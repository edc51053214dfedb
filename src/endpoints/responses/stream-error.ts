/**
 * An error in a running stream, in the form that clients of this dialect show: OpenAI's own clients throw at an `error`, Codex reads
 * `response.failed` and repeats the call except for some codes.
 */
import type { TollgateError } from '../../http/errors.ts'
import { event } from './event.ts'

/** Codes by our code or status. Codex ends a call that a repeat can't help only under these codes, and shows our message. */
const FINAL = 'invalid_prompt'
const KEPT: ReadonlySet<string> = new Set(['context_length_exceeded', 'insufficient_quota', 'rate_limit_exceeded'])

export function streamError(error: TollgateError): Buffer {
  const { message, param, type, code: own } = error
  const shown = { type, code: own, message, param }
  const response = {
    id: 'resp_failed',
    object: 'response',
    status: 'failed',
    error: { code: codeOf(error), message },
    output: [],
    usage: null,
  }
  return Buffer.concat([
    event('error', { sequence_number: 0, code: own, message, param, error: shown }),
    event('response.failed', { sequence_number: 0, response }),
  ])
}

function codeOf({ status, code }: TollgateError): string {
  if (KEPT.has(code)) return code
  if (status === 429) return 'rate_limit_exceeded'
  return status >= 500 ? 'server_error' : FINAL
}
