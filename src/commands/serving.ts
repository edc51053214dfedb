/** What serves the port of `start`, and what it is started with. */
import type { Config } from '../config/config.ts'
import type { LogOutput } from '../observe/log-output.ts'
import type { ServerOptions } from '../server/server-options.ts'
import type { Store } from './open-store.ts'
import type { Options } from './options.ts'
import type { ReadConfig } from './read-config.ts'

/** Whatever serves the port: this process, or its workers. */
export interface Serving {
  port: number
  /** Of the workers; empty where this process serves. */
  pids: readonly number[]
  /** Resolves where it can't go on: with why, or null where the log has it. */
  broken: Promise<string | null>
  /** Drains and stops. @returns whether everything is on the books. */
  stop(): Promise<boolean>
  /** Ends at once what this process does not end by ending itself. */
  kill(): void
}

/** What it is started with. */
export interface ServingParts extends Pick<ServerOptions, 'root' | 'log' | 'requestIds' | 'metricsToken'> {
  options: Options
  read: ReadConfig & { config: Config }
  store: Store
  output: LogOutput
}
