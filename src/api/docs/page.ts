/** The headers of every page and file of this folder. */
import { z } from '@hono/zod-openapi'

/** Text or bytes that are sent as they are. */
export const fileSchema = z.custom<string | Uint8Array>().openapi({ type: 'string' })

/** @param policy what the page may load: only what it names, from this server. */
export function pageHeaders(policy: string): Record<string, string> {
  return {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': `${policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    'Cache-Control': 'no-cache',
  }
}
