/** A JSON response on an exchange. */
import type { Exchange } from './exchange.ts'

export function respondJson(
  { outgoing, requestId, callId }: Pick<Exchange, 'outgoing' | 'requestId' | 'callId'>,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const bytes = Buffer.from(JSON.stringify(value))
  outgoing.writeHead(200, {
    ...headers,
    'content-type': 'application/json; charset=utf-8',
    'content-length': bytes.length,
    'X-Request-ID': requestId,
    'x-litellm-call-id': callId,
  })
  outgoing.end(bytes)
}
