/**
 * The database of a command: DATABASE_URL, else the one in config.yaml, else Tollgate's own in the data directory. Our own is
 * migrated. Another database is left as it is unless the command says otherwise, and refused where its schema is not up to date.
 */
import { requireSchema } from '../db/check-schema.ts'
import { connect, type Database } from '../db/connect.ts'
import { type EmbeddedStore, openEmbeddedStore } from '../db/embedded.ts'
import { migrate } from '../db/migrate.ts'
import { SchemaError } from '../db/schema-error.ts'
import type { DatabaseConfig } from './database-config.ts'
import { CommandError, EXIT } from './exit.ts'
import type { Options } from './options.ts'
import { reportLines } from './report-lines.ts'

/** For management and reports; what calls need has connections of its own. */
const CONNECTIONS = 8

export interface Server {
  url: string
  /** Tollgate's own PostgreSQL. */
  embedded: boolean
  /** The setting that names the database; null for Tollgate's own. */
  named: string | null
  /** The folder with its data; null for another's. */
  directory: string | null
  /** The psql command that opens it. */
  psql: string | null
  /** Lines that the start of a server shows; other commands leave them out. */
  notes: readonly string[]
  close(): Promise<void>
}

export interface Store extends Server {
  database: Database
}

/** @throws {CommandError} with exit code 4. */
export async function openStore(
  options: Options,
  config: DatabaseConfig,
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
    throw asCommandError(error, server)
  }
}

/** Whatever is in the database. @throws {CommandError} with exit code 4. */
export async function openServer(
  options: Options,
  config: DatabaseConfig,
  say: (line: string) => void,
): Promise<Server> {
  const url = options.env.DATABASE_URL || config.databaseUrl
  if (url)
    return {
      url,
      embedded: false,
      named: options.env.DATABASE_URL ? 'DATABASE_URL' : 'general_settings.database_url',
      directory: null,
      psql: null,
      notes: [],
      close: async () => {},
    }
  let store: EmbeddedStore
  try {
    store = await openEmbeddedStore(options.dataDir, { log: say })
  } catch (error) {
    throw asCommandError(error, { named: null })
  }
  const { directory, psql, notes } = store
  return { url: store.url, embedded: true, named: null, directory, psql, notes, close: () => store.close() }
}

/** Lists what was migrated. A first start applies everything, so it lists nothing. */
async function prepareSchema(server: Server, options: Options, say: (line: string) => void): Promise<void> {
  if (server.embedded || options.migrate) {
    const report = await migrate(server.url, { log: say })
    if (!report.created) for (const line of reportLines(report)) say(line)
    return
  }
  const note = await requireSchema(server.url)
  if (note !== null) say(note)
}

/** Names the setting at fault and what to do. A schema that is refused says the second by itself. */
export function asCommandError(error: unknown, { named }: Pick<Server, 'named'>): CommandError {
  const message = messageOf(error)
  if (named === null) return new CommandError(EXIT.database, message, { cause: error })
  if (error instanceof SchemaError) return new CommandError(EXIT.database, `${named}: ${message}`, { cause: error })
  const { code = message } = error as { code?: string }
  const advice = ADVICE[code] ?? ''
  return new CommandError(EXIT.database, `The database of ${named} can't be used: ${message}.${advice}`, {
    cause: error,
  })
}

/** Advice by the error code of PostgreSQL or of the system; by the message where there is no code. */
const ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED: ' Nothing listens there: start PostgreSQL, or correct host and port.',
  ENOENT: ' There is no socket: start PostgreSQL, or correct the folder that stands for the host.',
  EACCES: ' This user may not open the socket: correct its rights, or give the program those of its group.',
  ENOTFOUND: ' No such host is known: correct the host.',
  EAI_AGAIN: ' The name of the host could not be looked up: correct the host, or try again.',
  ETIMEDOUT: ' Nothing responded in time: correct host and port, or open the firewall.',
  '28P01': ' Correct user and password.',
  '28000': ' Correct the user, or allow this user in pg_hba.conf.',
  '42501':
    ' Run tollgate migrate with the role that owns the database; the program itself needs a member of tollgate_app.',
  'Connection terminated unexpectedly': ' The program that listens there may not be PostgreSQL: correct host and port.',
  '3D000': ' Create the database first: create database NAME.',
}

/** An AggregateError of refused connections says nothing itself. */
function messageOf(error: unknown): string {
  const { message, errors } = error as { message?: string; errors?: Error[] }
  return message || errors?.[0]?.message || String(error)
}
