/**
 * The database of a command: DATABASE_URL, else the one in config.yaml, else Tollgate's own in the data directory. Our own is
 * migrated; into another nothing is written unless the command was told to, and one whose schema is not up to date is refused.
 */
import type { Config } from '../config/config.ts'
import { requireSchema } from '../db/check-schema.ts'
import { connect, type Database } from '../db/connect.ts'
import { type EmbeddedStore, openEmbeddedStore } from '../db/embedded.ts'
import { migrate } from '../db/migrate.ts'
import { SchemaError } from '../db/schema-error.ts'
import { CommandError, EXIT } from './exit.ts'
import type { Options } from './options.ts'
import { reportLines } from './report-lines.ts'

/** For management and reports; what calls need has connections of its own. */
const CONNECTIONS = 8

export interface Server {
  url: string
  /** Tollgate's own PostgreSQL. */
  embedded: boolean
  /** How to look into it. */
  psql: string | null
  close(): Promise<void>
}

export interface Store extends Server {
  database: Database
}

/** @throws {CommandError} with exit code 4. */
export async function openStore(
  options: Options,
  config: Config,
  say: (line: string) => void,
  onIdleError?: (error: Error) => void,
): Promise<Store> {
  const server = await openServer(options, config, say)
  try {
    await prepareSchema(server, options, say)
    const database = connect(server.url, {
      maxConnections: CONNECTIONS,
      ...(onIdleError === undefined ? {} : { onIdleError }),
    })
    const close = async () => {
      await database.close()
      await server.close()
    }
    return { ...server, database, close }
  } catch (error) {
    await server.close()
    throw asCommandError(error, server.embedded)
  }
}

/** Whatever is in the database. @throws {CommandError} with exit code 4. */
export async function openServer(options: Options, config: Config, say: (line: string) => void): Promise<Server> {
  const url = options.env.DATABASE_URL || config.databaseUrl
  if (url) return { url, embedded: false, psql: null, close: async () => {} }
  let store: EmbeddedStore
  try {
    store = await openEmbeddedStore(options.dataDir, { log: say })
  } catch (error) {
    throw asCommandError(error, true)
  }
  for (const note of store.notes) say(note)
  return { url: store.url, embedded: true, psql: store.psql, close: () => store.close() }
}

/** Says what was done, unless it is all there is: a first start needs no list. */
async function prepareSchema(server: Server, options: Options, say: (line: string) => void): Promise<void> {
  if (server.embedded || options.migrate) {
    const report = await migrate(server.url, { log: say })
    if (!report.created) for (const line of reportLines(report)) say(line)
    return
  }
  const note = await requireSchema(server.url)
  if (note !== null) say(note)
}

/** What a database is refused for says all by itself; other errors are PostgreSQL's or the network's. */
export function asCommandError(error: unknown, embedded: boolean): CommandError {
  const message = messageOf(error)
  const whole = embedded || error instanceof SchemaError ? message : `The database can't be used: ${message}`
  return new CommandError(EXIT.database, whole, { cause: error })
}

/** An AggregateError of refused connections says nothing itself. */
function messageOf(error: unknown): string {
  const { message, errors } = error as { message?: string; errors?: Error[] }
  return message || errors?.[0]?.message || String(error)
}
