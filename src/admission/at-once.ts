/** So many pieces of a kind of work at once; who comes beyond is told so, and waits for nobody. */
import { TollgateError } from '../http/errors.ts'
import type { Limit } from '../http/limit.ts'

/** @throws {TollgateError} 503 beyond the limit, and what the work throws. */
export type AtOnce = <Result>(work: () => Promise<Result>) => Promise<Result>

/** @param what in plural, for whoever is refused. */
export function createAtOnce(most: number, what: string, limit: Limit): AtOnce {
  let running = 0
  return async (work) => {
    if (running >= most) {
      throw new TollgateError(
        503,
        `too_many_${limit}`,
        `There are too many ${what} at this moment. Try again shortly.`,
        {
          headers: { 'Retry-After': '2' },
          limit,
        },
      )
    }
    running += 1
    try {
      return await work()
    } finally {
      running -= 1
    }
  }
}
