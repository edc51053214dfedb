/** What a primary and its workers say to each other, as JSON over the channel that Node keeps between a process and its child. */
import type { Counted } from '../admission/rate-windows.ts'
import type { IncludedFile } from '../config/include.ts'
import type { LogLevel } from '../observe/log.ts'
import type { MetricNumbers, PrintedMetrics } from '../observe/metrics.ts'
import type { Spared } from '../routing/spared-news.ts'

/** What a worker needs to serve as the primary would. The environment it inherits. */
export interface WorkerTask {
  /** From 1; a replacement has the number of the one it replaces. */
  number: number
  /** How many there are. */
  workers: number
  /** As the primary read it: all workers serve by one configuration, whatever becomes of the file. */
  config: { file: string; text: string; includes: readonly IncludedFile[] }
  databaseUrl: string
  dataDir: string
  spoolDir: string
  host: string
  logLevel: LogLevel
  metricsToken: string | null
}

export type ToWorker =
  | { say: 'task'; task: WorkerTask }
  | { say: 'listen'; port: number }
  | { say: 'drain' }
  | { say: 'read metrics'; id: number }
  | { say: 'spared'; news: Spared }
  | { say: 'answer'; id: number; answer: Answer }

export type ToPrimary =
  | { say: 'prepared' }
  | { say: 'listening' }
  /** It could not start, or not listen; it ends. */
  | { say: 'failed'; message: string; exitCode: number }
  /** Asked for by `id`; unasked, the last ones before it ends. */
  | { say: 'metrics'; id: number | null; metrics: MetricNumbers }
  | { say: 'ask'; id: number; ask: Ask }
  | { say: 'give'; names: readonly string[] }
  | { say: 'spared'; news: Spared }

/** What the primary counts for all of them. */
export type Ask =
  | { what: 'add' | 'note'; name: string; points: number }
  | { what: 'look'; name: string }
  | { what: 'take'; places: readonly Place[] }
  | { what: 'print metrics' }

export type Answer = Counted | Taken | PrintedMetrics

/** One more of `name`, of which all workers together have `most`. */
export interface Place {
  name: string
  most: number
}

/** Null: all were taken; else the first that was full, and none was. */
export interface Taken {
  full: string | null
}
