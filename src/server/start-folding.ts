/** Folds the sums by day every few seconds, apart from calls. */
import type { Database } from '../db/connect.ts'
import type { Log } from '../observe/log.ts'
import { foldUsage } from '../reports/fold-usage.ts'

const EVERY_MS = 10_000

/** Returns a function that stops it. */
export function startFolding(database: Pick<Database, 'query'>, log: Log): () => void {
  let isFolding = false
  const timer = setInterval(() => {
    if (isFolding) return
    isFolding = true
    foldUsage(database)
      .catch((err: unknown) => log.warn({ err }, 'sums of usage not folded; reports stay exact, and get slower'))
      .finally(() => {
        isFolding = false
      })
  }, EVERY_MS)
  return () => clearInterval(timer)
}
