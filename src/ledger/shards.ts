/**
 * Group commit. Jobs that come while a batch is in flight go out together with the next one: one transaction, one flush to
 * disk for all of them (measured 5 to 13 times the throughput of one by one).
 *
 * A few shards by hash of the organization, each with a connection of its own. Where somebody holds a row of an organization, the
 * batch is split by organization and its parts take the slow path over other connections, until each has got through: only those who
 * are blocked wait, the shard goes on (with a single shard and no slow path one psql session stopped everybody).
 *
 * A job is answered when its transaction has committed, alone, whatever became of its neighbours. A batch whose connection broke
 * is sent again, since every operation is idempotent by call id. Never gives up: whoever is tired of waiting drops the job.
 */
import { type BatchConnection, createBatchConnection } from './batch-connection.ts'
import { BATCH_MAX, createDelivery, type Deliver, type DeliveryOptions } from './deliver-batch.ts'
import { createSlowPath, type SlowPath } from './slow-path.ts'
import type { Ticket } from './ticket.ts'

export interface ShardsOptions<Request, Answer> extends DeliveryOptions<Request, Answer> {
  url: string
  name: string
  shards: number
  organizationOf: (request: Request) => string
  /** For how long a request may wait for others to go along when the shard is at rest, milliseconds. @default not at all */
  lingerOf?: (request: Request) => number
}

export interface Job<Request, Answer> {
  readonly request: Request
  /** Rejects only when the database refuses this very element. */
  readonly answer: Promise<Answer>
  /** Takes the job back. False: it was sent, and may be in the database or get there; its response still comes. */
  drop(): boolean
  /** It was sent once and nobody knows what became of that. */
  readonly ambiguous: boolean
}

export interface Shards<Request, Answer> {
  run(request: Request): Job<Request, Answer>
  /** Jobs that are not answered yet. */
  readonly pending: number
  /** Ends the connections; what is not answered stays so. */
  close(): Promise<void>
}

interface Shard<Request, Answer> {
  push(ticket: Ticket<Request, Answer>): void
}

export function createShards<Request, Answer>(options: ShardsOptions<Request, Answer>): Shards<Request, Answer> {
  let pending = 0
  let closed = false
  const isClosed = () => closed
  const connection = () => createBatchConnection(options.url, options.name)
  const deliver = createDelivery(options, isClosed, (batch) => slowPath.take(batch))
  const slowPath: SlowPath<Request, Answer> = createSlowPath({ ...options, connection, deliver, isClosed })
  const own = Array.from({ length: options.shards }, connection)
  const shards = own.map((over) => createShard(over, { ...options, deliver, isClosed, slowPath }))

  return {
    run(request) {
      pending += 1
      const { ticket, job } = createJob<Request, Answer>(request, () => {
        pending -= 1
      })
      const organizationId = options.organizationOf(request)
      if (!slowPath.joins(organizationId, ticket)) shards[shardOf(organizationId, shards.length)]?.push(ticket)
      return job
    },
    get pending() {
      return pending
    },
    async close() {
      closed = true
      await Promise.all([...own.map((each) => each.close()), slowPath.close()])
    },
  }
}

interface ShardParts<Request, Answer> extends Pick<ShardsOptions<Request, Answer>, 'lingerOf'> {
  deliver: Deliver<Request, Answer>
  isClosed: () => boolean
  slowPath: SlowPath<Request, Answer>
}

function createShard<Request, Answer>(
  over: BatchConnection,
  { lingerOf, deliver, isClosed, slowPath }: ShardParts<Request, Answer>,
): Shard<Request, Answer> {
  const queue: Ticket<Request, Answer>[] = []
  let moving = false
  let lingering: NodeJS.Timeout | undefined
  const move = async (): Promise<void> => {
    while (queue.length > 0 && !isClosed()) {
      const batch = queue.splice(0, BATCH_MAX)
      if ((await deliver(over, batch)) === 'blocked') slowPath.take(batch)
    }
    moving = false
  }
  const start = (): void => {
    clearTimeout(lingering)
    lingering = undefined
    moving = true
    // Whatever else this turn of the loop brings goes along.
    setImmediate(() => void move())
  }
  return {
    push(ticket) {
      queue.push(ticket)
      if (moving) return
      const ms = lingerOf?.(ticket.request) ?? 0
      if (ms === 0) start()
      else lingering ??= setTimeout(start, ms)
    },
  }
}

function createJob<Request, Answer>(
  request: Request,
  onDone: () => void,
): { ticket: Ticket<Request, Answer>; job: Job<Request, Answer> } {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const ticket: Ticket<Request, Answer> = {
    request,
    dropped: false,
    sent: false,
    ambiguous: false,
    resolve(answer) {
      onDone()
      resolve(answer)
    },
    reject(error) {
      onDone()
      reject(error)
    },
  }
  const job: Job<Request, Answer> = {
    request,
    answer: promise,
    get ambiguous() {
      return ticket.ambiguous
    },
    drop() {
      if (ticket.sent || ticket.dropped) return ticket.dropped
      ticket.dropped = true
      onDone()
      return true
    },
  }
  return { ticket, job }
}

/** Calls are held and closed by so many shards. */
export const SHARDS = 2

/** The same organization, the same shard. */
export function shardOf(organizationId: string, shards = SHARDS): number {
  return hash(organizationId) % shards
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return value >>> 0
}
