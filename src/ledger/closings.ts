/**
 * Brings closings to the books, for as long as it takes. A closing waits for the database with its answer for a quarter of a second,
 * or as long as the operator says; from then on it is on the local disk too. Where the disk takes it no more than the database, the answer is withheld: whoever has seen
 * the end of an answer is charged for it, whatever dies next. Nothing here throws: a call that ran is charged.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Close, CloseAnswer } from './close-batch.ts'
import type { Overdue } from './ledger.ts'
import type { Shards } from './shards.ts'
import type { Spool } from './spool.ts'

/** With neither database nor disk for so long, the answer goes out all the same and its charge is in memory only. */
const WITHHELD_MS = 30_000
const RETRY_MS = { first: 1_000, most: 30_000 }

export interface ClosingsOptions {
  shards: Shards<Close, CloseAnswer>
  spool: Spool
  /** How long an answer waits for its settlement. */
  waitMs: number
  onTrouble: (what: string, error: unknown, callId: string, requestId: string | null) => void
}

export interface Closings {
  readonly overdue: Overdue
  /** Null: it is not on the books yet, and will be. */
  close(close: Close): Promise<CloseAnswer | null>
  /** Books what dead processes left in their spools. */
  adopt(): void
  /** Writes to the local disk what could not be written before. */
  keep(): Promise<void>
  /** Waits for all of them. At the deadline what is left goes to the spool, if it isn't there; `safe` is false if it could not. */
  drain(timeoutMs: number): Promise<{ left: number; safe: boolean }>
}

export function createClosings({ shards, spool, waitMs, onTrouble }: ClosingsOptions): Closings {
  /** The oldest first. */
  const unbooked = new Map<Close, { work: Promise<unknown>; since: number }>()
  /** Whether each got to the local disk, of those that should be there. */
  const aside = new Map<Close, Promise<boolean>>()
  /** Withheld answers, by what the disk did not take. */
  const withheld = new Map<Close, () => void>()
  let keeping: Promise<void> | null = null
  let letGo = false

  /** Until the database has it. One it refuses is alarmed and tried again: the reason may be mended. */
  async function book(close: Close): Promise<CloseAnswer> {
    for (let delay = RETRY_MS.first; ; delay = Math.min(delay * 2, RETRY_MS.most)) {
      try {
        return await shards.run(close).answer
      } catch (error) {
        report(close.state === 'settled' ? 'settle' : 'release', error, close)
        await putAside(close)
        // Keeps the process alive, since what waits here is not done, unless it was let go.
        await pause(delay, undefined, { ref: !letGo })
      }
    }
  }

  function track<T>(close: Close, work: Promise<T>): Promise<T> {
    unbooked.set(close, { work, since: performance.now() })
    const forget = () => {
      unbooked.delete(close)
      withheld.delete(close)
      if (aside.delete(close)) spool.remove(close.closing.callId)
    }
    work.then(forget, forget)
    return work
  }

  function report(what: string, error: unknown, { closing }: Close): void {
    onTrouble(what, error, closing.callId, closing.requestId)
  }

  /** Whether it is on the local disk. What could not be written is tried again by `keep`. */
  function putAside(close: Close): Promise<boolean> {
    const known = aside.get(close)
    if (known !== undefined) return known
    const written = write(close)
    aside.set(close, written)
    return written
  }

  async function write(close: Close): Promise<boolean> {
    try {
      await spool.add(close)
      // Booked while it was being written.
      if (!unbooked.has(close)) spool.remove(close.closing.callId)
      return true
    } catch (error) {
      report('spool', error, close)
      return false
    }
  }

  /** Once more for each that the disk did not take, until it does not take one again. One run at a time. */
  function keep(): Promise<void> {
    keeping ??= keepAll().finally(() => {
      keeping = null
    })
    return keeping
  }

  async function keepAll(): Promise<void> {
    for (const [close, written] of [...aside]) {
      if ((await written) || !unbooked.has(close)) continue
      aside.delete(close)
      if (!(await putAside(close))) return
      withheld.get(close)?.()
    }
  }

  /** Until the local disk has it after all. */
  function kept(close: Close): Promise<null> {
    return new Promise((resolve) => withheld.set(close, () => resolve(null)))
  }

  return {
    get overdue() {
      const before = performance.now() - waitMs
      const found = { entries: 0, oldestMs: 0 }
      for (const { since } of unbooked.values()) {
        if (since > before) break
        if (found.entries === 0) found.oldestMs = performance.now() - since
        found.entries += 1
      }
      return found
    },
    async close(close) {
      const booked = track(close, book(close))
      const answer = await within<CloseAnswer | null>(waitMs, booked, () => null)
      if (answer !== null || (await putAside(close))) return answer
      return within<CloseAnswer | null>(WITHHELD_MS, Promise.race([booked, kept(close)]), () => null)
    },
    adopt() {
      for (const { close, booked } of spool.adopt()) {
        const adopted = book(close).then(booked)
        adopted.catch((error: unknown) => report('spool', error, close))
        void track(close, adopted)
      }
    },
    keep,
    async drain(timeoutMs) {
      const all = async () => {
        while (unbooked.size > 0) await Promise.allSettled([...unbooked.values()].map(({ work }) => work))
      }
      await within<void>(timeoutMs, all(), () => {})
      letGo = true
      await keep()
      const left = [...unbooked.keys()]
      return { left: left.length, safe: (await Promise.all(left.map(putAside))).every(Boolean) }
    },
  }
}

/** What the work comes to, or `otherwise` where it takes longer; the work goes on. */
export async function within<T>(ms: number, work: Promise<T>, otherwise: () => T): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(otherwise()), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
