/**
 * Errors of this dialect, in the envelope of all. Codex repeats a 429 until it gives up without a word of why, but for one type: there it
 * stops at once and says that a limit is reached, and until when where it is told in Unix seconds.
 */
import { errorBody, type TollgateError } from '../../http/errors.ts'

export function responseError(error: TollgateError): Record<string, unknown> {
  const { code, fields } = error
  const body = errorBody(error)
  if (code !== 'budget_exceeded') return body
  const { resets_at: until } = fields
  const resets_at = typeof until === 'string' ? Math.ceil(Date.parse(until) / 1_000) : null
  return { ...body, error: { ...(body.error as object), type: 'usage_limit_reached', resets_at } }
}
