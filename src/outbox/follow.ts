/**
 * Brings events to one consumer: at least once, in order for each organization. What a receiver does not take is tried again later and
 * later; meanwhile the events of that organization wait, and those of others do not. Where nothing is taken at all, the receiver is down
 * and the cursor stays. After a stated time an event is given up (a dead letter), and those behind it go on. A process that dies leaves
 * its page to the next one, which sends it again: events have ids.
 *
 * Calls never wait for any of this: it has connections of its own and reads what is committed.
 */
import type { Database } from '../db/connect.ts'
import { backoffSeconds } from './backoff.ts'
import {
  blockedLines,
  finishPage,
  LEASE_SECONDS,
  type Lease,
  LeaseLostError,
  registerConsumer,
  takeLease,
} from './consumer-rows.ts'
import { createDelivery, type Delivered, type Outcome } from './deliver.ts'
import { type OutboxEvent, type Place, readEvents } from './read-events.ts'
import { failureAfter, type RetryOptions, retryBlocked, sendLetters } from './retry.ts'
import { type Sink, sourcesOf } from './sink.ts'

/** How many events are in memory at once. */
const PAGE = 200
/** A receiver that takes nothing so often may be there after all, and only these organizations fail: the others have their turn. */
const DOWN_TRIES = 3

export interface FollowOptions {
  database: Pick<Database, 'query'>
  name: string
  sink: Sink
  /** The process. */
  owner: string
  deadAfterHours: number
  random: () => number
  /** Milliseconds that only grow. */
  now: () => number
  count: (outcome: Outcome, events: number) => void
}

/** `more`: there may be more at once. `idle`: nothing to do. `elsewhere`: another process works for it. `down`: the receiver takes nothing. */
export type Round = 'more' | 'idle' | 'elsewhere' | 'down'

export interface Follower {
  /** One page, and what is due of what failed before. @throws where the database does not answer. */
  round(): Promise<Round>
  lease: Lease
}

export function createFollower(options: FollowOptions): Follower {
  const { database, name, sink, random, now } = options
  const lease: Lease = { consumer: name, owner: options.owner }
  const held = holdLease(database, lease, now)
  const delivery = createDelivery({ sink, keepLease: held.keep, count: options.count })
  const retry: RetryOptions = { ...options, lease, delivery, sources: sourcesOf(sink), page: PAGE }
  let isRegistered = false
  let failures = 0
  let resumeAt = 0

  function note(results: readonly Delivered[] | null): void {
    if (results?.some(({ sent }) => sent.length > 0)) failures = 0
    else if (results === null || results.some(({ failure }) => failure !== null)) {
      failures += 1
      resumeAt = now() + backoffSeconds(failures, random()) * 1000
    }
  }

  async function nextPage(after: Place): Promise<Round> {
    const page = await readEvents(database, after, { sources: retry.sources, most: PAGE })
    if (page.length === 0) return 'idle'
    const results = await delivery.page(page, await blockedLines(database, name), failures >= DOWN_TRIES)
    note(results)
    if (results === null) return 'down'
    const sent = results.flatMap((result) => result.sent)
    const blocked = results.flatMap(({ failure }) =>
      failure === null
        ? []
        : [{ ...failureAfter(0, failure, random()), before: beforeIn(page, failure.event) ?? after }],
    )
    await finishPage(database, lease, { until: page.at(-1)!, sent, blocked })
    return page.length === PAGE ? 'more' : 'idle'
  }

  async function work(): Promise<Round> {
    if (!isRegistered) await registerConsumer(database, name, { sources: retry.sources, types: sink.types })
    isRegistered = true
    const cursor = await held.take()
    if (cursor === null) return 'elsewhere'
    await sendLetters(retry)
    const goesOn = await retryBlocked(retry, cursor)
    if (resumeAt > now()) return 'down'
    const round = await nextPage(cursor)
    return round === 'idle' && goesOn ? 'more' : round
  }

  return {
    lease,
    round: () =>
      work().catch((error: unknown) => {
        if (error instanceof LeaseLostError) return 'elsewhere'
        throw error
      }),
  }
}

/** Renewed by each round, and in one that takes long. */
function holdLease(database: Pick<Database, 'query'>, lease: Lease, now: () => number) {
  let endsAt = 0
  async function take(): Promise<Place | null> {
    const asked = now()
    const place = await takeLease(database, lease)
    endsAt = place === null ? 0 : asked + LEASE_SECONDS * 1000
    return place
  }
  return {
    take,
    async keep(): Promise<void> {
      if (endsAt - now() > (LEASE_SECONDS * 1000) / 2) return
      if ((await take()) === null) throw new LeaseLostError(lease.consumer)
    },
  }
}

function beforeIn(page: readonly OutboxEvent[], event: OutboxEvent): OutboxEvent | undefined {
  return page[page.indexOf(event) - 1]
}
