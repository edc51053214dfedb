/** A route that changes something: one transaction, run once for each Idempotency-Key of a caller. */
import type { z } from '@hono/zod-openapi'
import { type ChangeTransaction, change } from '../billing/change.ts'
import type { Database } from '../db/connect.ts'
import { type CallerDefinition, type CallerRequest, type Route, route } from './route.ts'

type None = z.ZodObject<Record<never, never>>

interface ChangeDefinition<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, R extends z.ZodType, Ready>
  extends Omit<CallerDefinition<P, Q, B, R>, 'handle' | 'produces'> {
  /** What is checked before the transaction: who may do it, and what others have to confirm. */
  prepare(request: CallerRequest<z.output<P>, z.output<Q>, z.output<B>>): Ready | Promise<Ready>
  make(
    transaction: ChangeTransaction,
    ready: Ready,
    request: CallerRequest<z.output<P>, z.output<Q>, z.output<B>>,
  ): Promise<z.output<R>>
}

export function changeRoute<
  R extends z.ZodType,
  Ready,
  P extends z.ZodType = None,
  Q extends z.ZodType = None,
  B extends z.ZodType = None,
>(database: Database, definition: ChangeDefinition<P, Q, B, R, Ready>): Route {
  const { prepare, make, ...rest } = definition
  return route<R, P, Q, B>({
    ...rest,
    // A repeated request gets the text of the first response.
    produces: 'application/json',
    async handle(request) {
      const { params, query, body, headers } = request
      const ready = await prepare(request)
      const written = headers['idempotency-key']
      const asked = JSON.stringify([rest.method, rest.path, params, query, body])
      const key = typeof written === 'string' ? written : null
      const text = await change(database, { actor: request.change.actor, key, asked }, (transaction) =>
        make(transaction, ready, request),
      )
      return text as z.output<R>
    },
  })
}
