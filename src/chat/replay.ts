/** Repeats a stored JSON answer: same status, body and cost headers, marked as repeated; nothing is charged again. */
import type { Exchange } from './exchange.ts'
import type { StoredAnswer } from './idempotency.ts'

export function replay(exchange: Exchange, answer: StoredAnswer): void {
  exchange.outgoing.writeHead(answer.status, {
    ...answer.headers,
    'X-Request-ID': exchange.requestId,
    'Idempotent-Replayed': 'true',
    'content-length': answer.body.length,
  })
  exchange.outgoing.end(answer.body)
}
