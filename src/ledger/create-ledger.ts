/** The ledger, each operation one statement of its own. Fails closed on holds, never forgets a settlement. */
import type pg from 'pg'
import { TollgateError } from '../http/errors.ts'
import { releaseHold, settleHold } from './close-hold.ts'
import { extend } from './extend.ts'
import { hold } from './hold.ts'
import type { Closing, Hold, HoldRequest, Ledger, Pending, Settled } from './ledger.ts'

/** How long an answer waits for its settlement. */
const SETTLE_PATIENCE_MS = 250
/** A statement is given up by the server after 5 s, so a hold whose answer was lost has committed by then or never will. */
const LOST_HOLD_RELEASE_MS = 6_000
const RETRY_MS = { first: 100, most: 5_000 }

export interface LedgerOptions {
  pool: pg.Pool
  /** This process, as registered in ledger_processes. */
  owner: string
  /** Told of every failure that is being repeated; the operator should see them. */
  onTrouble: (what: string, error: unknown, callId: string) => void
}

export function createLedger({ pool, owner, onTrouble }: LedgerOptions): Ledger {
  const unfinished = new Set<Promise<unknown>>()
  /** The process waits no longer: what is still repeated may end with it. */
  let letGo = false

  function remember<T>(work: Promise<T>): Promise<T> {
    unfinished.add(work)
    const forget = () => unfinished.delete(work)
    work.then(forget, forget)
    return work
  }

  /** Until the database has it: every statement is idempotent by call id. */
  async function insist<T>(what: string, callId: string, attempt: () => Promise<T>): Promise<T> {
    for (let delay = RETRY_MS.first; ; delay = Math.min(delay * 2, RETRY_MS.most)) {
      try {
        return await attempt()
      } catch (error) {
        onTrouble(what, error, callId)
        await pause(delay, letGo)
      }
    }
  }

  /** A hold whose answer was lost may have committed: give it back once it must have. */
  function releaseLost(request: HoldRequest, closing: Closing): void {
    void remember(
      pause(LOST_HOLD_RELEASE_MS).then(() =>
        insist('release of a lost hold', request.callId, () => releaseHold(pool, closing)),
      ),
    )
  }

  return {
    async hold(request: HoldRequest): Promise<Hold> {
      try {
        return await hold(pool, owner, request)
      } catch (error) {
        if (error instanceof TollgateError) throw error
        onTrouble('hold', error, request.callId)
        const { organizationId, userId, keyId, callId } = request
        const details = { error: 'the database did not answer the hold' }
        releaseLost(request, {
          organizationId,
          userId,
          keyId,
          callId,
          serviceName: '',
          requestId: null,
          outcome: 'failed',
          details,
        })
        throw new TollgateError(
          503,
          'ledger_unavailable',
          'The ledger is not available, so no paid call can start. Try again shortly.',
          {
            headers: { 'Retry-After': '2' },
            cause: error,
          },
        )
      }
    },

    async extend(callId, total, least) {
      try {
        return await extend(pool, callId, total, least)
      } catch (error) {
        onTrouble('extend', error, callId)
        return null
      }
    },

    async settle(settlement): Promise<Settled | Pending> {
      const booked = remember(insist('settle', settlement.callId, () => settleHold(pool, settlement)))
      return within<Settled | Pending>(SETTLE_PATIENCE_MS, booked, () => ({ state: 'pending' }))
    },

    async release(closing) {
      const dropped = remember(insist('release', closing.callId, () => releaseHold(pool, closing)))
      await within(SETTLE_PATIENCE_MS, dropped, () => undefined)
    },

    async drain(timeoutMs) {
      const all = async () => {
        while (unfinished.size > 0) await Promise.allSettled(unfinished)
        return true
      }
      return within(timeoutMs, all(), () => {
        letGo = true
        return false
      })
    },
  }
}

/** Keeps the process alive, since what waits here is not done, unless it was let go. */
function pause(ms: number, mayEnd = false): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    if (mayEnd) timer.unref()
  })
}

/** What the work comes to, or `otherwise` where it takes longer; the work goes on. */
async function within<T>(ms: number, work: Promise<T>, otherwise: () => T): Promise<T> {
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
