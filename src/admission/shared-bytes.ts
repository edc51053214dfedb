/** The memory of bodies whose senders nobody knows yet: their first 64 kB are free, as everybody's are; the rest they share. */
import { TollgateError } from '../http/errors.ts'
import type { Limit } from '../http/limit.ts'

const FREE = 64 * 1024

export interface SharedBytes {
  /** For one body. */
  open(): {
    /** It takes so many bytes now. @throws {TollgateError} 503 where others have taken what there is. */
    reserve(bytes: number): null
    /** Once. */
    release(): void
  }
}

export function createSharedBytes(most: number, limit: Limit): SharedBytes {
  let used = 0
  return {
    open() {
      let own = 0
      return {
        reserve(bytes) {
          const more = bytes - FREE - own
          if (more <= 0) return null
          if (used + more > most) throw refused(limit)
          own += more
          used += more
          return null
        },
        release() {
          used -= own
          own = 0
        },
      }
    },
  }
}

function refused(limit: Limit): TollgateError {
  return new TollgateError(503, limit, 'Too many large requests of this kind are under way. Try again shortly.', {
    headers: { 'Retry-After': '2', Connection: 'close' },
    limit,
  })
}
