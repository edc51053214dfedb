/** When a worker that ended unasked is replaced: at once the first time, later each time where it keeps ending. */

/** One that ends within this time did not work. */
const WORKED_MS = 60_000
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 30_000
/** So often in a row, where no other worker serves: then the primary gives up, for whoever supervises it to see. */
export const ENDS_MAX = 5

export interface Restarts {
  /** So many ended in a row soon after they were started. */
  readonly failures: number
  /** One ended. @returns how long to wait until the next is started, milliseconds. */
  ended(livedMs: number): number
}

export function createRestarts(): Restarts {
  let failures = 0
  return {
    get failures() {
      return failures
    },
    ended(livedMs) {
      failures = livedMs < WORKED_MS ? failures + 1 : 1
      return failures === 1 ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 2))
    },
  }
}
