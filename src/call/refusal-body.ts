/** The body that a provider sent with an error status. */
import { ERROR_BODY_MAX, type ResponseHeaders } from './upstream.ts'

export interface RefusalBody {
  status: number
  headers: ResponseHeaders
  body: Buffer[]
  size: number
}

/** Keeps a piece of the body. Returns false once enough was read: the body may have no end. */
export function keepRefusal(refusal: RefusalBody, chunk: Buffer): boolean {
  refusal.body.push(chunk.subarray(0, ERROR_BODY_MAX - refusal.size))
  refusal.size += chunk.length
  return refusal.size < ERROR_BODY_MAX
}
