/** Tries again what was not taken: the first event of each organization that waits, and letters that somebody wants sent again. */
import type { Database } from '../db/connect.ts'
import { backoffSeconds } from './backoff.ts'
import {
  type Blocked,
  bury,
  dueBlocked,
  dueLetters,
  type Failure,
  failBlocked,
  failLetter,
  finishLetter,
  type Lease,
  moveBlocked,
  unblock,
} from './consumer-rows.ts'
import type { Delivery, NotTaken, Outcome } from './deliver.ts'
import { findEvent, isAfter, type Place, readEvents } from './read-events.ts'

export interface RetryOptions {
  database: Pick<Database, 'query'>
  lease: Lease
  delivery: Delivery
  /** Tables that may hold what the consumer wants. */
  sources: readonly number[]
  /** How many events are in memory at once. */
  page: number
  deadAfterHours: number
  random: () => number
  count: (outcome: Outcome, events: number) => void
}

export function failureAfter(attempts: number, notTaken: NotTaken, random: number): Failure {
  return { ...notTaken, attempts: attempts + 1, retrySeconds: backoffSeconds(attempts + 1, random) }
}

/** Returns whether there is more to do at once. */
export async function retryBlocked(options: RetryOptions, cursor: Place): Promise<boolean> {
  let goesOn = false
  for (const blocked of await dueBlocked(options.database, options.lease.consumer, options.deadAfterHours))
    if (await retryLine(options, blocked, cursor)) goesOn = true
  return goesOn
}

async function retryLine(options: RetryOptions, blocked: Blocked, cursor: Place): Promise<boolean> {
  const { database, lease, delivery, sources, page, random, count } = options
  const { line, attempts } = blocked
  // One that has failed is tried alone.
  const most = attempts === 0 ? page : 1
  const behind = await readEvents(database, blocked, { sources, organizationId: line, most })
  const events = behind.filter((event) => !isAfter(event, cursor))
  if (events.length === 0) {
    await unblock(database, lease, line)
    return false
  }
  const { sent, failure } = await delivery.inOrder(events)
  if (failure === null) {
    await moveBlocked(database, lease, line, events.at(-1)!, sent)
    return true
  }
  if (sent.length > 0) {
    await moveBlocked(database, lease, line, sent.at(-1)!, sent)
    await failBlocked(database, lease, line, failureAfter(0, failure, random()))
    return false
  }
  const next = failureAfter(attempts, failure, random())
  if (!blocked.isOver) {
    await failBlocked(database, lease, line, next)
    return false
  }
  await bury(database, lease, line, next)
  count('dead', 1)
  return true
}

export async function sendLetters(options: RetryOptions): Promise<void> {
  const { database, lease, delivery, deadAfterHours, random, count } = options
  for (const letter of await dueLetters(database, lease.consumer, deadAfterHours)) {
    const event = await findEvent(database, letter.source, letter.rowId)
    const failure = event === null ? null : (await delivery.inOrder([event])).failure
    if (failure === null) await finishLetter(database, lease, letter.eventId, event)
    else {
      await failLetter(database, lease, letter, failureAfter(letter.attempts, failure, random()))
      if (letter.isOver) count('dead', 1)
    }
  }
}
