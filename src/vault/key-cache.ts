/**
 * Opened keys by subject, at most so many, for at most so long. What is here may be used while notifications are known to come
 * in, and for one second after it was read where they are not: a key changed anywhere is used everywhere within that second.
 */

/** Opened again after this, so that a key does not outlive its row in memory for want of a notification. */
export const LIFETIME_MS = 300_000
/** How long a key is used without word that it is still the same. Also how long a failure is remembered. */
export const UNHEARD_MS = 1_000

/** Null: no key is stored, or it is switched off. */
export type Found = { key: string | null } | { failure: Error }

interface Entry {
  found: Found
  readAt: number
}

export interface KeyCache {
  /** Undefined where the key must be read. Costs one look into a map. */
  get(subject: string): Found | undefined
  /** Reads it once for all who ask meanwhile. What changed while it was read is handed on, but not kept. */
  fill(subject: string, read: () => Promise<Found>): Promise<Found>
  forget(subject: string): void
  forgetAll(): void
}

/** @param now milliseconds of a clock that never jumps. @param heardUntil on the same clock: until when notifications can be trusted. */
export function createKeyCache(size: number, now: () => number, heardUntil: () => number): KeyCache {
  // In the order of their last use.
  const entries = new Map<string, Entry>()
  const filling = new Map<string, { reading: Promise<Found>; readAt: number }>()

  function fresh({ found, readAt }: Entry): boolean {
    const at = now()
    return at < readAt + ('key' in found && at < heardUntil() ? LIFETIME_MS : UNHEARD_MS)
  }

  function keep(subject: string, entry: Entry): void {
    entries.delete(subject)
    entries.set(subject, entry)
    const [oldest] = entries.keys()
    if (entries.size > size && oldest !== undefined) entries.delete(oldest)
  }

  return {
    get(subject) {
      const entry = entries.get(subject)
      if (entry === undefined) return undefined
      if (!fresh(entry)) return undefined
      keep(subject, entry)
      return entry.found
    },
    fill(subject, read) {
      const running = filling.get(subject)
      const readAt = now()
      if (running !== undefined && (readAt < heardUntil() || readAt < running.readAt + UNHEARD_MS))
        return running.reading
      const reading = read().then(
        (found) => {
          if (filling.get(subject)?.reading === reading) {
            filling.delete(subject)
            keep(subject, { found, readAt })
          }
          return found
        },
        (error: unknown) => {
          if (filling.get(subject)?.reading === reading) filling.delete(subject)
          throw error
        },
      )
      filling.set(subject, { reading, readAt })
      return reading
    },
    forget(subject) {
      entries.delete(subject)
      filling.delete(subject)
    },
    forgetAll() {
      entries.clear()
      filling.clear()
    },
  }
}
