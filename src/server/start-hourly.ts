/** Runs the regular work, apart from calls: it removes what is too old to keep, and does what is due though nobody asks. */
import type { Log } from '../observe/log.ts'

const HOUR_MS = 3_600_000

export interface HourlyTask {
  /** Left out: an hour. */
  everyMs?: number
  run: () => Promise<unknown>
  /** What the log says when the work fails. It is tried again when it is next due. */
  failure: string
}

/** Returns a function that stops all of it. */
export function startHourly(tasks: readonly HourlyTask[], log: Log): () => void {
  const timers = tasks.map(({ run, failure, everyMs = HOUR_MS }) =>
    setInterval(() => run().catch((err: unknown) => log.warn({ err }, failure)), everyMs),
  )
  return () => timers.forEach(clearInterval)
}
