/** Work that is done once an hour, apart from calls: it removes what is too old to keep. */
import type { Log } from '../observe/log.ts'

const HOUR_MS = 3_600_000

export interface HourlyTask {
  run: () => Promise<unknown>
  /** What the log says where it fails. It is tried again an hour later. */
  failure: string
}

/** Returns a function that ends them all. */
export function startHourly(tasks: readonly HourlyTask[], log: Log): () => void {
  const timers = tasks.map(({ run, failure }) =>
    setInterval(() => run().catch((err: unknown) => log.warn({ err }, failure)), HOUR_MS),
  )
  return () => timers.forEach(clearInterval)
}
