/** A provider's key in a request body. Spaces around a pasted key are removed. */
import { z } from '@hono/zod-openapi'

const MIN_LENGTH = 10
const MESSAGE = `Send the key as "api_key", a string of at least ${MIN_LENGTH} characters.`

export const providerKeySchema = z
  .string(MESSAGE)
  .trim()
  .min(MIN_LENGTH, MESSAGE)
  .openapi({ minLength: MIN_LENGTH, format: 'password' })
