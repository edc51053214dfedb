/**
 * A ledger whose holds wait for each other. A call that only running calls stand in the way of waits for them instead of being told
 * 402 at once: in the order of arrival, each allocation for itself, woken when a call of the same allocation in this process is over,
 * and no longer than the operator says. Who runs in another process is not heard of: the first in line asks again four times a second.
 *
 * Fails open to the caller: one whose turn does not come gets the refusal it would have had.
 */
import { TollgateError } from '../http/errors.ts'
import type { Hold, HoldRequest, Ledger, Payer } from './ledger.ts'

const ASK_AGAIN_MS = 250
/** A longer line than this is not joined: it would not be through in time. */
const LINE_MAX = 1_000

interface Waiting {
  /** Ends the pause it is in. */
  wake: () => void
}

export interface WaitingOptions {
  /** 0: nobody waits. */
  waitMs: number
  /** Monotonic, in milliseconds. */
  now: () => number
}

export function withWaiting(ledger: Ledger, { waitMs, now }: WaitingOptions): Ledger {
  const lines = new Map<string, Waiting[]>()

  function wakeFirst(payer: Payer): void {
    lines.get(lineOf(payer))?.[0]?.wake()
  }

  /** Waits for its turn; whoever is first asks, the others when their time is over. */
  async function standInLine(request: HoldRequest, line: Waiting[], refusal: unknown): Promise<Hold> {
    const arrived = now()
    const self: Waiting = { wake: () => {} }
    line.push(self)
    let last = refusal
    try {
      for (;;) {
        const left = arrived + waitMs - now()
        if (left <= 0 && last !== null) throw last
        if (left > 0) await pause(self, line[0] === self ? Math.min(left, ASK_AGAIN_MS) : left)
        if (request.isGone?.() === true && last !== null) throw last
        if (line[0] !== self && now() < arrived + waitMs) continue
        try {
          const hold = await ledger.hold(request)
          return { ...hold, waitedMs: Math.round(now() - arrived) }
        } catch (error) {
          if (!isInFlight(error)) throw error
          last = error
        }
      }
    } finally {
      line.splice(line.indexOf(self), 1)
      if (line.length === 0) lines.delete(lineOf(request))
      else wakeFirst(request)
    }
  }

  async function hold(request: HoldRequest): Promise<Hold> {
    const ahead = lines.get(lineOf(request))
    let refusal: unknown = null
    // Who comes later does not overtake those who wait.
    if (ahead === undefined || ahead.length >= LINE_MAX) {
      try {
        return await ledger.hold(request)
      } catch (error) {
        if (!isInFlight(error) || ahead !== undefined) throw error
        refusal = error
      }
    }
    const line = lines.get(lineOf(request)) ?? []
    lines.set(lineOf(request), line)
    return standInLine(request, line, refusal)
  }

  if (waitMs === 0) return ledger
  return {
    get open() {
      return ledger.open
    },
    get overdue() {
      return ledger.overdue
    },
    covers: (held) => ledger.covers(held),
    hold,
    checkpoint: (...progress) => ledger.checkpoint(...progress),
    extend: (progress) => ledger.extend(progress),
    settle: (settlement) => ledger.settle(settlement).finally(() => wakeFirst(settlement)),
    release: (closing) => ledger.release(closing).finally(() => wakeFirst(closing)),
    drain: (timeoutMs) => ledger.drain(timeoutMs),
    close: () => ledger.close(),
  }
}

function lineOf({ organizationId, userId }: Payer): string {
  return `${organizationId}/${userId}`
}

function isInFlight(error: unknown): boolean {
  return error instanceof TollgateError && error.code === 'credits_in_flight'
}

function pause(self: Waiting, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.ceil(ms))
    self.wake = () => {
      clearTimeout(timer)
      resolve()
    }
  })
}
