/** Whether a webhook is Lago's: its HMAC over the exact bytes, with the key that Lago shows beside its webhooks. */
import { createHmac, timingSafeEqual } from 'node:crypto'

/** @param signature X-Lago-Signature: base64 as Lago writes it, or hex. */
export function isFromLago(body: Uint8Array, signature: string, key: string): boolean {
  const mac = createHmac('sha256', key).update(body).digest()
  const stated = Buffer.from(signature, /^[0-9a-f]{64}$/.test(signature) ? 'hex' : 'base64')
  return stated.length === mac.length && timingSafeEqual(stated, mac)
}
