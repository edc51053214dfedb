/**
 * Counts the requests of a caller to one management route that were refused for what they ask: a body that does not fit, an id nobody
 * has. No limit of a minute counts those, and each costs as much as one that is served, large ones most: beyond some in a second the
 * next are not looked at.
 */
import { TollgateError } from '../http/errors.ts'
import { actorOf, type Caller } from '../identity/caller.ts'
import { createSecondCounts, nextSecond } from './second-counts.ts'

/** Of small requests. Nobody who reads what they are told makes so many. */
const PER_SECOND = 500
/** So much of a body counts as one more request. */
const BYTES_EACH = 256

export interface MistakenRequests {
  /** @throws {TollgateError} 429 beyond the limit. */
  refuse(caller: Caller, route: string): void
  /** `error` is why a request of so many bytes was refused. */
  count(caller: Caller, route: string, bytes: number, error: unknown): void
}

export function createMistakenRequests(now: () => number): MistakenRequests {
  const counts = createSecondCounts(now)
  const nameOf = (caller: Caller, route: string) => `${route} ${actorOf(caller)}`
  return {
    refuse(caller, route) {
      if (counts.of(nameOf(caller, route)) >= PER_SECOND) throw tooMany()
    },
    count(caller, route, bytes, error) {
      const isMistake = error instanceof TollgateError && error.status < 500 && error.status !== 429
      if (isMistake) counts.add(nameOf(caller, route), 1 + Math.ceil(bytes / BYTES_EACH))
    },
  }
}

function tooMany(): TollgateError {
  return new TollgateError(
    429,
    'too_many_mistakes',
    'Too many of your requests to this route were refused within a second for what they ask. Read what the refusals say, and try again in a second.',
    { headers: nextSecond(), limit: 'mistaken_requests' },
  )
}
