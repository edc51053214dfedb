/**
 * Brings settlements and releases to the books, for as long as it takes. A response waits for the database for a quarter of a second,
 * or as long as the operator says; from then on its settlement is on the local disk too. Where neither database nor disk takes it, the
 * response is withheld: a caller who has seen the end of a response is charged for it, whatever dies next. Nothing here throws: a call
 * that ran is charged.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Close, CloseAnswer } from './close-batch.ts'
import type { Overdue } from './ledger.ts'
import type { Shards } from './shards.ts'
import type { Spool } from './spool.ts'
import { createSpooledCloses } from './spooled-closes.ts'
import { within } from './within.ts'

/** With neither database nor disk for so long, the response goes out all the same and its charge is in memory only. */
const WITHHELD_MS = 30_000
const RETRY_MS = { first: 1_000, max: 30_000 }

export interface SettlementQueueOptions {
  shards: Shards<Close, CloseAnswer>
  spool: Spool
  /** How long a response waits for its settlement. */
  waitMs: number
  onTrouble: (what: string, error: unknown, callId: string, requestId: string | null) => void
}

export interface SettlementQueue {
  readonly overdue: Overdue
  /** Null: it is not on the books yet, and will be. */
  enqueue(close: Close): Promise<CloseAnswer | null>
  /** Books what dead processes left in their spools. */
  adopt(): void
  /** Writes to the local disk what could not be written before. */
  flushSpool(): Promise<void>
  /** Waits for all of them. At the deadline what is left goes to the spool, if it isn't there; `safe` is false if it could not. */
  drain(timeoutMs: number): Promise<{ left: number; safe: boolean }>
}

export function createSettlementQueue({ shards, spool, waitMs, onTrouble }: SettlementQueueOptions): SettlementQueue {
  /** The oldest first. */
  const unbooked = new Map<Close, { work: Promise<unknown>; since: number }>()
  let abandoned = false
  const report = (what: string, error: unknown, { closing }: Close) =>
    onTrouble(what, error, closing.callId, closing.requestId)
  const spooled = createSpooledCloses({
    spool,
    isBooked: (close) => !unbooked.has(close),
    onError: (error, close) => report('spool', error, close),
  })

  /** Until the database has it. One it refuses is alarmed and tried again: the reason may be mended. */
  async function book(close: Close): Promise<CloseAnswer> {
    for (let delay = RETRY_MS.first; ; delay = Math.min(delay * 2, RETRY_MS.max)) {
      try {
        return await shards.run(close).answer
      } catch (error) {
        report(close.state === 'settled' ? 'settle' : 'release', error, close)
        await spooled.add(close)
        // Keeps the process alive, since what waits here is not done, unless it was abandoned.
        await pause(delay, undefined, { ref: !abandoned })
      }
    }
  }

  function track<T>(close: Close, work: Promise<T>): Promise<T> {
    unbooked.set(close, { work, since: performance.now() })
    const forget = () => {
      unbooked.delete(close)
      spooled.remove(close)
    }
    work.then(forget, forget)
    return work
  }

  return {
    get overdue() {
      return overdueSince(performance.now() - waitMs, unbooked.values())
    },
    async enqueue(close) {
      const booked = track(close, book(close))
      const answer = await within<CloseAnswer | null>(waitMs, booked, () => null)
      if (answer !== null || (await spooled.add(close))) return answer
      return within<CloseAnswer | null>(WITHHELD_MS, Promise.race([booked, spooled.durable(close)]), () => null)
    },
    adopt() {
      for (const { close, booked } of spool.adopt()) {
        const adopted = book(close).then(booked)
        adopted.catch((error: unknown) => report('spool', error, close))
        void track(close, adopted)
      }
    },
    flushSpool: () => spooled.flush(),
    async drain(timeoutMs) {
      const all = async () => {
        while (unbooked.size > 0) await Promise.allSettled([...unbooked.values()].map(({ work }) => work))
      }
      await within<void>(timeoutMs, all(), () => {})
      abandoned = true
      await spooled.flush()
      const left = [...unbooked.keys()]
      return { left: left.length, safe: (await Promise.all(left.map((close) => spooled.add(close)))).every(Boolean) }
    },
  }
}

/** Of those that wait since before. */
function overdueSince(before: number, waiting: Iterable<{ since: number }>): Overdue {
  const found = { entries: 0, oldestMs: 0 }
  for (const { since } of waiting) {
    if (since > before) break
    if (found.entries === 0) found.oldestMs = performance.now() - since
    found.entries += 1
  }
  return found
}
