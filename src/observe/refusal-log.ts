/**
 * Failed responses, in the log: the first of each code in a second one by one, the rest as one count when the second is over,
 * so that nobody fills a disk by being refused. Every one of them is in `tollgate_errors_total`.
 */
import type { Log } from './log.ts'

const LINES_A_SECOND = 10
const SECOND_MS = 1_000
/** A provider may make up codes; what comes beyond this many in a second is counted together. */
const CODES_MAX = 50
const OTHER = 'other'

export interface Refusal {
  code: string
  status: number
  [member: string]: unknown
}

export interface RefusalLog {
  /** Expected: the caller is at fault, or has to wait. */
  refused(line: Refusal): void
  /** Ours to mend. */
  failed(line: Refusal, message: string): void
}

export function createRefusalLog(log: Pick<Log, 'info' | 'warn' | 'error'>): RefusalLog {
  let counts = new Map<string, number>()

  /** Whether this one is among those that are written. */
  function admit(code: string): boolean {
    if (counts.size === 0) setTimeout(tell, SECOND_MS).unref()
    const key = counts.has(code) || counts.size < CODES_MAX ? code : OTHER
    const count = (counts.get(key) ?? 0) + 1
    counts.set(key, count)
    return count <= LINES_A_SECOND
  }

  function tell(): void {
    const over = [...counts].filter(([, count]) => count > LINES_A_SECOND)
    counts = new Map()
    for (const [code, count] of over)
      log.warn({ code, left_out: count - LINES_A_SECOND }, 'answers of this code left out of the log')
  }

  return {
    refused(line) {
      if (admit(line.code)) log.info(line, 'refused')
    },
    failed(line, message) {
      if (admit(line.code)) log.error(line, message)
    },
  }
}
