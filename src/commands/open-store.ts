/** The database of a command: DATABASE_URL, else the one in config.yaml, else Tollgate's own in the data directory. Migrated. */
import type { Config } from '../config/config.ts'
import { connect, type Database } from '../db/connect.ts'
import { openEmbeddedStore } from '../db/embedded.ts'
import { migrate } from '../db/migrate.ts'
import { CommandError, EXIT } from './exit.ts'
import type { Options } from './options.ts'

export interface Store {
  database: Database
  url: string
  /** Tollgate's own PostgreSQL. */
  embedded: boolean
  /** How to look into it. */
  psql: string | null
  /** Names of the migrations that were applied just now. */
  migrated: string[]
  close(): Promise<void>
}

/** @throws {CommandError} with exit code 4. */
export async function openStore(
  options: Options,
  config: Config,
  say: (line: string) => void,
  onIdleError?: (error: Error) => void,
): Promise<Store> {
  const url = options.env.DATABASE_URL || config.databaseUrl
  try {
    return url ? await openReal(url, onIdleError) : await openEmbedded(options, say, onIdleError)
  } catch (error) {
    throw new CommandError(EXIT.database, url ? `The database can't be used: ${messageOf(error)}` : messageOf(error), {
      cause: error,
    })
  }
}

async function openReal(url: string, onIdleError?: (error: Error) => void): Promise<Store> {
  const migrated = await migrate(url)
  const database = connect(url, onIdleError === undefined ? {} : { onIdleError })
  return { database, url, embedded: false, psql: null, migrated, close: () => database.close() }
}

async function openEmbedded(
  options: Options,
  say: (line: string) => void,
  onIdleError?: (error: Error) => void,
): Promise<Store> {
  const store = await openEmbeddedStore(options.dataDir, { log: say })
  for (const note of store.notes) say(note)
  try {
    const { database, migrated } = await openReal(store.url, onIdleError)
    const close = async () => {
      await database.close()
      await store.close()
    }
    return { database, url: store.url, embedded: true, psql: store.psql, migrated, close }
  } catch (error) {
    await store.close()
    throw error
  }
}

/** An AggregateError of refused connections says nothing itself. */
function messageOf(error: unknown): string {
  const { message, errors } = error as { message?: string; errors?: Error[] }
  return message || errors?.[0]?.message || String(error)
}
