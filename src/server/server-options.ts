/** What the command line tells the server. */
import type { Config } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import type { Log } from '../observe/log.ts'
import type { RootConfig } from '../vault/root-config.ts'
import type { WorkerPart } from '../workers/worker-part.ts'

export interface ServerOptions {
  config: Config
  /** For management and reports. */
  database: Database
  /** For connections of its own. */
  databaseUrl: string
  /** The root keys that provider keys are sealed under. */
  root: Pick<RootConfig, 'roots' | 'fernetKeys'>
  /** The folder of settlements that wait for the database. */
  spoolDirectory: string
  log: Log
  /** How many lines of the log were lost because nobody read them. */
  logDropped: () => number
  /** Kept here, read by the log. */
  requestIds: Map<string, string>
  /** Opens /metrics and nothing else. */
  metricsToken: string | null
  host: string
  port: number
  version: string
  /** Null: this process has the port for itself. */
  worker: WorkerPart | null
}
