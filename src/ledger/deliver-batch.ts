/**
 * Sends one batch until every ticket of it is answered, whatever breaks on the way: see `batch-error.ts` for what each failure leads to.
 * Never gives up but at the end of the process.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type pg from 'pg'
import { type BatchConnection, ConnectionLostError } from './batch-connection.ts'
import { type BatchError, classifyError } from './batch-error.ts'
import type { Ticket } from './ticket.ts'

/**
 * Twice this many callers of one organization are two batches then, one being held while the other is closed. As one batch they would
 * all be held, then all be closed, on one core (measured: 3,700 instead of 5,600 pairs a second).
 */
export const BATCH_MAX = 128
const CONFLICT_TRIES = 10
const RETRY_MS = { first: 50, max: 1_000 }

export interface DeliveryOptions<Request, Answer> {
  /** Sends one batch; returns one result for each request, in their order. */
  send: (client: pg.Client, requests: readonly Request[]) => Promise<Answer[]>
  /** Told of every failure that is repeated. */
  onTrouble: (error: unknown, size: number) => void
  /** Told of every batch that was answered. */
  onBatch?: (size: number) => void
}

type Outcome = 'done' | 'blocked'

/** Until every ticket that was not dropped is answered, or the batch is blocked. */
export type Deliver<Request, Answer> = (
  over: BatchConnection,
  tickets: readonly Ticket<Request, Answer>[],
) => Promise<Outcome>

/** @param onBlocked takes a part of a batch that was halved and is blocked. */
export function createDelivery<Request, Answer>(
  options: DeliveryOptions<Request, Answer>,
  isClosed: () => boolean,
  onBlocked: (batch: readonly Ticket<Request, Answer>[]) => void,
): Deliver<Request, Answer> {
  const deliver: Deliver<Request, Answer> = async (over, tickets) => {
    let delay = RETRY_MS.first
    let batch = tickets
    for (let conflicts = 0; !isClosed(); ) {
      batch = batch.filter((ticket) => !ticket.dropped)
      if (batch.length === 0) return 'done'
      const error = await sendOnce(options, over, batch)
      if (error === null) return 'done'
      if (error.kind === 'blocked') return 'blocked'
      if (error.kind === 'conflict' && conflicts < CONFLICT_TRIES) {
        conflicts += 1
        continue
      }
      if (error.kind !== 'lost') return halve(over, batch, error.cause)
      options.onTrouble(error.cause, batch.length)
      await pause(delay)
      delay = Math.min(delay * 2, RETRY_MS.max)
    }
    return 'done'
  }

  /** Until the element that can't be stored is alone. */
  async function halve(
    over: BatchConnection,
    batch: readonly Ticket<Request, Answer>[],
    cause: unknown,
  ): Promise<Outcome> {
    const [only] = batch
    if (batch.length === 1 && only !== undefined) {
      only.reject(cause)
      return 'done'
    }
    const middle = batch.length >> 1
    for (const half of [batch.slice(0, middle), batch.slice(middle)]) {
      if ((await deliver(over, half)) === 'blocked') onBlocked(half)
    }
    return 'done'
  }

  return deliver
}

/** @returns null where every ticket has its result. */
async function sendOnce<Request, Answer>(
  { send, onBatch }: DeliveryOptions<Request, Answer>,
  over: BatchConnection,
  batch: readonly Ticket<Request, Answer>[],
): Promise<{ kind: BatchError; cause: unknown } | null> {
  for (const ticket of batch) ticket.sent = true
  try {
    const requests = batch.map((ticket) => ticket.request)
    const answers = await over.use((client) => send(client, requests))
    // The number of results is wrong: never guess which is whose; bisect and send again.
    if (answers.length !== batch.length) throw new Error(`${answers.length} answers to ${batch.length} calls`)
    for (const [i, ticket] of batch.entries()) ticket.resolve(answers[i] as Answer)
    onBatch?.(batch.length)
    return null
  } catch (cause) {
    const kind = classifyError(cause)
    // Also with an error of the server's: one that is told to stop may have committed before.
    const lost = kind === 'lost' && !(cause instanceof ConnectionLostError && !cause.sent)
    for (const ticket of batch) {
      ticket.ambiguous ||= lost
      ticket.sent = ticket.ambiguous
    }
    return { kind, cause }
  }
}
