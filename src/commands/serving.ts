/** The server that `start` runs, in one process or in several, and what it needs. */
import type { Config } from '../config/config.ts'
import type { LogOutput } from '../observe/log-output.ts'
import type { ServerOptions } from '../server/server-options.ts'
import type { Store } from './open-store.ts'
import type { Options } from './options.ts'
import type { ReadConfig } from './read-config.ts'

/** A running server: this process, or its workers. */
export interface Serving {
  port: number
  /** The process ids of the workers; empty where this process serves. */
  pids: readonly number[]
  /** Resolves when the server can't go on: with the reason, or null where the log has it. */
  broken: Promise<string | null>
  /** Drains and stops. @returns true if every call is booked. */
  stop(): Promise<boolean>
  /** Ends child processes at once: they would outlive this one. */
  kill(): void
}

/** What a server needs to start. */
export interface ServingParts extends Pick<ServerOptions, 'root' | 'log' | 'requestIds' | 'metricsToken'> {
  options: Options
  read: ReadConfig & { config: Config }
  store: Store
  output: LogOutput
}
