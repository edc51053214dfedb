/**
 * Group commit. Jobs that come while a batch is in flight go out together with the next one: one transaction, one flush to
 * disk for all of them (measured 5 to 13 times the throughput of one by one).
 *
 * A few lanes by hash of the organization, each with a connection of its own. Where somebody holds a row of an organization, the
 * batch is split by organization and its parts take a detour over other connections, until each has got through: only those who
 * are blocked wait, the lane goes on (with a single lane and no detour one psql session stopped everybody).
 *
 * A job is answered when its transaction has committed, alone, whatever became of its neighbours. A batch whose connection broke
 * is sent again, since every operation is idempotent by call id. Never gives up: whoever is tired of waiting drops the job.
 */
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import type pg from 'pg'
import { type BatchConnection, ConnectionLostError, createBatchConnection } from './batch-connection.ts'
import { troubleOf } from './batch-error.ts'

/**
 * Twice this many callers of one organization are two batches then, one being held while the other is closed. As one batch they would
 * all be held, then all be closed, on one core (measured: 3,700 instead of 5,600 pairs a second).
 */
const BATCH_MAX = 128
const CONFLICT_TRIES = 10
const RETRY_MS = { first: 50, most: 1_000 }
const DETOUR_CONNECTIONS = 2
const BLOCKED_PAUSE_MS = 50
/** An organization that was blocked keeps to the detour this long after, so that the lane does not run into it again. */
const DETOUR_MS = 2_000

export interface LanesOptions<Request, Answer> {
  url: string
  name: string
  lanes: number
  /** Sends one batch; answers one answer for each request, in their order. */
  send: (client: pg.Client, requests: readonly Request[]) => Promise<Answer[]>
  organizationOf: (request: Request) => string
  /** For how long a request may wait for others to go along when the lane is at rest, milliseconds. @default not at all */
  lingerOf?: (request: Request) => number
  /** Told of every failure that is repeated. */
  onTrouble: (error: unknown, size: number) => void
  /** Told of every batch that was answered. */
  onBatch?: (size: number) => void
}

export interface Job<Request, Answer> {
  readonly request: Request
  /** Rejects only when the database refuses this very element. */
  readonly answer: Promise<Answer>
  /** Takes the job back. False: it was sent, and may be in the database or get there; its answer still comes. */
  drop(): boolean
  /** It was sent once and nobody knows what became of that. */
  readonly ambiguous: boolean
}

export interface Lanes<Request, Answer> {
  run(request: Request): Job<Request, Answer>
  /** Jobs that are not answered yet. */
  readonly pending: number
  /** Ends the connections; what is not answered stays so. */
  close(): Promise<void>
}

interface Ticket<Request, Answer> {
  request: Request
  resolve(answer: Answer): void
  reject(error: unknown): void
  dropped: boolean
  /** Sent, and not known to be rolled back. */
  sent: boolean
  /** One of the times it was sent was lost: whatever is known of later ones, it may be in the database. */
  ambiguous: boolean
}

interface Detour<Request, Answer> {
  tickets: Ticket<Request, Answer>[]
  blockedAt: number
  moving: boolean
}

export function createLanes<Request, Answer>(options: LanesOptions<Request, Answer>): Lanes<Request, Answer> {
  type Tickets = Ticket<Request, Answer>[]
  const connection = () => createBatchConnection(options.url, options.name)
  const own = Array.from({ length: options.lanes }, connection)
  const lanes = own.map(createLane)
  const detours = new Map<string, Detour<Request, Answer>>()
  const free = Array.from({ length: DETOUR_CONNECTIONS }, connection)
  const sideways = [...free]
  const waitingForConnection: ((connection: BatchConnection) => void)[] = []
  let pending = 0
  let closed = false

  function createLane(over: BatchConnection): { push(ticket: Tickets[number]): void } {
    const queue: Tickets = []
    let moving = false
    let lingering: NodeJS.Timeout | undefined
    const move = async (): Promise<void> => {
      while (queue.length > 0 && !closed) {
        const batch = queue.splice(0, BATCH_MAX)
        if ((await deliver(over, batch)) === 'blocked') divert(batch)
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
        const ms = options.lingerOf?.(ticket.request) ?? 0
        if (ms === 0) start()
        else lingering ??= setTimeout(start, ms)
      },
    }
  }

  /** Until every ticket that was not dropped is answered, or the batch is blocked. */
  async function deliver(over: BatchConnection, tickets: Tickets): Promise<'done' | 'blocked'> {
    let delay = RETRY_MS.first
    let batch = tickets
    for (let conflicts = 0; !closed; ) {
      batch = batch.filter((ticket) => !ticket.dropped)
      if (batch.length === 0) return 'done'
      for (const ticket of batch) ticket.sent = true
      try {
        const requests = batch.map((ticket) => ticket.request)
        const answers = await over.use((client) => options.send(client, requests))
        // Never another's answer: what came of them is asked for again, one by one.
        if (answers.length !== batch.length) throw new Error(`${answers.length} answers to ${batch.length} calls`)
        for (const [i, ticket] of batch.entries()) ticket.resolve(answers[i] as Answer)
        options.onBatch?.(batch.length)
        return 'done'
      } catch (error) {
        const trouble = troubleOf(error)
        // Also with an error of the server's: one that is told to stop may have committed before.
        const lost = trouble === 'lost' && !(error instanceof ConnectionLostError && !error.sent)
        for (const ticket of batch) {
          ticket.ambiguous ||= lost
          ticket.sent = ticket.ambiguous
        }
        if (trouble === 'blocked') return 'blocked'
        if (trouble === 'conflict' && conflicts < CONFLICT_TRIES) {
          conflicts += 1
          continue
        }
        if (trouble !== 'lost') return halve(over, batch, error)
        options.onTrouble(error, batch.length)
        await pause(delay)
        delay = Math.min(delay * 2, RETRY_MS.most)
      }
    }
    return 'done'
  }

  /** Until the element that can't be stored is alone. */
  async function halve(over: BatchConnection, batch: Tickets, error: unknown): Promise<'done' | 'blocked'> {
    const [only] = batch
    if (batch.length === 1 && only !== undefined) {
      only.reject(error)
      return 'done'
    }
    const middle = batch.length >> 1
    for (const half of [batch.slice(0, middle), batch.slice(middle)]) {
      if ((await deliver(over, half)) === 'blocked') divert(half)
    }
    return 'done'
  }

  /** Somebody holds a row: each organization of the batch goes on by itself, aside. */
  function divert(batch: Tickets): void {
    for (const ticket of batch) {
      const organizationId = options.organizationOf(ticket.request)
      const detour = detours.get(organizationId) ?? { tickets: [], blockedAt: performance.now(), moving: false }
      detours.set(organizationId, detour)
      join(organizationId, detour, ticket)
    }
  }

  function join(organizationId: string, detour: Detour<Request, Answer>, ticket: Tickets[number]): void {
    detour.tickets.push(ticket)
    if (!detour.moving) void goAround(organizationId, detour)
  }

  async function goAround(organizationId: string, detour: Detour<Request, Answer>): Promise<void> {
    detour.moving = true
    await nextTurn()
    while (detour.tickets.length > 0 && !closed) {
      const over = await takeConnection()
      const batch = detour.tickets.splice(0, BATCH_MAX)
      const blocked = (await deliver(over, batch)) === 'blocked'
      giveConnection(over)
      if (!blocked) continue
      detour.blockedAt = performance.now()
      detour.tickets.unshift(...batch)
      await pause(BLOCKED_PAUSE_MS)
    }
    detour.moving = false
    setTimeout(() => leaveDetour(organizationId, detour), DETOUR_MS).unref()
  }

  function leaveDetour(organizationId: string, detour: Detour<Request, Answer>): void {
    if (detour.moving || detours.get(organizationId) !== detour || performance.now() - detour.blockedAt < DETOUR_MS)
      return
    detours.delete(organizationId)
  }

  function takeConnection(): Promise<BatchConnection> {
    const ready = free.pop()
    return ready !== undefined ? Promise.resolve(ready) : new Promise((resolve) => waitingForConnection.push(resolve))
  }

  function giveConnection(connection: BatchConnection): void {
    const next = waitingForConnection.shift()
    if (next === undefined) free.push(connection)
    else next(connection)
  }

  function assign(ticket: Tickets[number]): void {
    const organizationId = options.organizationOf(ticket.request)
    const detour = detours.get(organizationId)
    if (detour !== undefined) join(organizationId, detour, ticket)
    else lanes[hash(organizationId) % lanes.length]?.push(ticket)
  }

  return {
    run(request) {
      const { promise, resolve, reject } = Promise.withResolvers<Answer>()
      pending += 1
      const done = () => {
        pending -= 1
      }
      const ticket: Tickets[number] = {
        request,
        dropped: false,
        sent: false,
        ambiguous: false,
        resolve(answer) {
          done()
          resolve(answer)
        },
        reject(error) {
          done()
          reject(error)
        },
      }
      assign(ticket)
      return {
        request,
        answer: promise,
        get ambiguous() {
          return ticket.ambiguous
        },
        drop() {
          if (ticket.sent || ticket.dropped) return ticket.dropped
          ticket.dropped = true
          done()
          return true
        },
      }
    },
    get pending() {
      return pending
    },
    async close() {
      closed = true
      await Promise.all([...own, ...sideways].map((each) => each.close()))
    },
  }
}

/** FNV-1a: the same organization, the same lane. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return value >>> 0
}
