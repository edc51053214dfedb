/** What a provider sent with a status that is no success. */
import { ERROR_BODY_MAX, type ResponseHeaders } from './upstream.ts'

export interface RefusalBody {
  status: number
  headers: ResponseHeaders
  body: Buffer[]
  size: number
}

/** An error's body, as far as it is worth reading: false where that is reached, for it may have no end. */
export function keepRefusal(refusal: RefusalBody, chunk: Buffer): boolean {
  refusal.body.push(chunk.subarray(0, ERROR_BODY_MAX - refusal.size))
  refusal.size += chunk.length
  return refusal.size < ERROR_BODY_MAX
}
