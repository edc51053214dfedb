/**
 * An error in a stream that is already running, as the clients of this dialect show it: OpenAI's own throw at an `error`, Codex reads
 * `response.failed` and repeats the call but for some codes.
 */
import type { TollgateError } from '../../http/errors.ts'
import { event } from './event.ts'

/** By our code or status: what a repeat can't mend ends the call at Codex only under this name, with our message. */
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
