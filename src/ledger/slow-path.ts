/**
 * Where a batch goes on whose rows somebody holds: each organization by itself, over a few connections of its own, tried again until it
 * gets through. An organization that was blocked keeps to it for a while, so that its shard does not run into the same row again.
 */
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import type { BatchConnection } from './batch-connection.ts'
import { BATCH_MAX, type Deliver } from './deliver-batch.ts'
import type { Ticket } from './ticket.ts'

const CONNECTIONS = 2
const BLOCKED_PAUSE_MS = 50
const STAY_MS = 2_000

export interface SlowPath<Request, Answer> {
  /** A blocked batch. */
  take(batch: readonly Ticket<Request, Answer>[]): void
  /** Takes the ticket of an organization that is on the slow path. @returns false for another's. */
  joins(organizationId: string, ticket: Ticket<Request, Answer>): boolean
  close(): Promise<void>
}

export interface SlowPathOptions<Request, Answer> {
  connection: () => BatchConnection
  deliver: Deliver<Request, Answer>
  organizationOf: (request: Request) => string
  isClosed: () => boolean
}

interface Blocked<Request, Answer> {
  tickets: Ticket<Request, Answer>[]
  blockedAt: number
  moving: boolean
}

export function createSlowPath<Request, Answer>(options: SlowPathOptions<Request, Answer>): SlowPath<Request, Answer> {
  const { deliver, organizationOf, isClosed } = options
  const blocked = new Map<string, Blocked<Request, Answer>>()
  const connections = createPool(Array.from({ length: CONNECTIONS }, options.connection))

  function join(organizationId: string, one: Blocked<Request, Answer>, ticket: Ticket<Request, Answer>): void {
    one.tickets.push(ticket)
    if (!one.moving) void move(organizationId, one)
  }

  async function move(organizationId: string, one: Blocked<Request, Answer>): Promise<void> {
    one.moving = true
    await nextTurn()
    while (one.tickets.length > 0 && !isClosed()) {
      const over = await connections.take()
      const batch = one.tickets.splice(0, BATCH_MAX)
      const isBlocked = (await deliver(over, batch)) === 'blocked'
      connections.give(over)
      if (!isBlocked) continue
      one.blockedAt = performance.now()
      one.tickets.unshift(...batch)
      await pause(BLOCKED_PAUSE_MS)
    }
    one.moving = false
    setTimeout(() => leave(organizationId, one), STAY_MS).unref()
  }

  function leave(organizationId: string, one: Blocked<Request, Answer>): void {
    if (one.moving || blocked.get(organizationId) !== one || performance.now() - one.blockedAt < STAY_MS) return
    blocked.delete(organizationId)
  }

  return {
    take(batch) {
      for (const ticket of batch) {
        const organizationId = organizationOf(ticket.request)
        const one = blocked.get(organizationId) ?? { tickets: [], blockedAt: performance.now(), moving: false }
        blocked.set(organizationId, one)
        join(organizationId, one, ticket)
      }
    },
    joins(organizationId, ticket) {
      const one = blocked.get(organizationId)
      if (one !== undefined) join(organizationId, one, ticket)
      return one !== undefined
    },
    close: () => connections.close(),
  }
}

/** Connections for whoever needs one next, in order. */
function createPool(all: readonly BatchConnection[]): {
  take(): Promise<BatchConnection>
  give(connection: BatchConnection): void
  close(): Promise<void>
} {
  const free = [...all]
  const waiting: ((connection: BatchConnection) => void)[] = []
  return {
    take() {
      const ready = free.pop()
      return ready !== undefined ? Promise.resolve(ready) : new Promise((resolve) => waiting.push(resolve))
    },
    give(connection) {
      const next = waiting.shift()
      if (next === undefined) free.push(connection)
      else next(connection)
    },
    async close() {
      await Promise.all(all.map((each) => each.close()))
    },
  }
}
