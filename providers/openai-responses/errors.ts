/** A response that failed, and one that broke off. */
import { asObject } from '../json.ts'
import { readOpenAiErrorFrame } from '../openai-errors.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import type { ProviderError } from '../provider.ts'

type Json = Readonly<Record<string, unknown>>

/** About what was asked: https://platform.openai.com/docs/api-reference/responses/object */
const ABOUT_REQUEST = /^(?:invalid_|image_|empty_image|unsupported_|failed_to_download|bio_policy|cyber_policy)/

/** @param holder of `error`, a response or an event; an event of OpenAI's has its members on top. */
export function readFailed(dialect: OpenAiFacts, holder: Json): ProviderError {
  const stated = asObject(holder.error) ?? holder
  const { code, message, param, type } = stated
  const isAbout = typeof code === 'string' && ABOUT_REQUEST.test(code)
  const own = typeof type === 'string' && type !== 'error' ? type : null
  return readOpenAiErrorFrame(dialect, {
    error: { code, message, param, type: isAbout ? 'invalid_request_error' : own },
  })
}

export function brokenOff(dialect: OpenAiFacts): ProviderError {
  return readOpenAiErrorFrame(dialect, null)
}
