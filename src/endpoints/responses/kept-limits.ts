/** What of responses is kept at most: larger conversations are sent by who has them. */
import { TollgateError } from '../../http/errors.ts'

/** Of one response with its input, of one item, and of all that one request refers to. */
export const KEPT_BYTES_MAX = 4 * 1_048_576

export function tooMuch(): TollgateError {
  const message = `What the request refers to has more than ${KEPT_BYTES_MAX} bytes. Send the conversation in "input".`
  return new TollgateError(413, 'request_too_large', message, { param: 'input' })
}
