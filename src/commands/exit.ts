/** Exit codes, one for each thing a script may want to tell apart. */
export const EXIT = {
  ok: 0,
  /** The command could not do its work; for audit, the books have differences. */
  failed: 1,
  /** Wrong command, flag or value. */
  usage: 2,
  /** config.yaml has errors. */
  config: 3,
  /** The database can't be started, reached or understood. */
  database: 4,
  /** The server can't listen on the port. */
  port: 5,
  /** A server of the same data directory is running on the port. */
  running: 6,
} as const

export class CommandError extends Error {
  readonly exitCode: number
  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}
