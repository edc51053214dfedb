/**
 * Which settlements and releases are on the local disk besides. What the disk does not take is tried again by `flush`; a response may
 * wait until it did (`durable`).
 */
import type { Close } from './close-batch.ts'
import type { Spool } from './spool.ts'

export interface SpooledCloses {
  /** Writes it to the disk, once. @returns whether it is there. */
  add(close: Close): Promise<boolean>
  /** It is on the books. */
  remove(close: Close): void
  /** Once more for each that the disk did not take, until it does not take one again. One run at a time. */
  flush(): Promise<void>
  /** Resolves when the disk has it after all. */
  durable(close: Close): Promise<null>
}

export interface SpooledClosesOptions {
  spool: Spool
  isBooked: (close: Close) => boolean
  onError: (error: unknown, close: Close) => void
}

export function createSpooledCloses({ spool, isBooked, onError }: SpooledClosesOptions): SpooledCloses {
  /** Whether each got to the disk, of those that should be there. */
  const spooled = new Map<Close, Promise<boolean>>()
  /** Responses that wait, by what the disk did not take. */
  const awaitingDurability = new Map<Close, () => void>()
  let flushing: Promise<void> | null = null

  function add(close: Close): Promise<boolean> {
    const known = spooled.get(close)
    if (known !== undefined) return known
    const written = write(close)
    spooled.set(close, written)
    return written
  }

  async function write(close: Close): Promise<boolean> {
    try {
      await spool.add(close)
      // Booked while it was being written.
      if (isBooked(close)) spool.remove(close.closing.callId)
      return true
    } catch (error) {
      onError(error, close)
      return false
    }
  }

  async function flushAll(): Promise<void> {
    for (const [close, written] of [...spooled]) {
      if ((await written) || isBooked(close)) continue
      spooled.delete(close)
      if (!(await add(close))) return
      awaitingDurability.get(close)?.()
    }
  }

  return {
    add,
    remove(close) {
      awaitingDurability.delete(close)
      if (spooled.delete(close)) spool.remove(close.closing.callId)
    },
    flush() {
      flushing ??= flushAll().finally(() => {
        flushing = null
      })
      return flushing
    },
    durable(close) {
      return new Promise((resolve) => awaitingDurability.set(close, () => resolve(null)))
    },
  }
}
