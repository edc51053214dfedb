/** Runs the work of a command on its database, and prints the result as JSON. */
import type { Config } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import { databaseConfig } from './database-config.ts'
import { EXIT } from './exit.ts'
import { openStore } from './open-store.ts'
import type { Options } from './options.ts'

export async function withStore<Result>(
  options: Options,
  work: (database: Database) => Promise<Result>,
): Promise<Result> {
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const store = await openStore(options, await databaseConfig(options, say), say)
  try {
    return await work(store.database)
  } finally {
    await store.close()
  }
}

/** The same with the whole configuration. `prepare` runs before the database is opened, so that what it throws starts no server. */
export async function withPrepared<Prepared, Result>(
  options: Options,
  prepare: (config: Config, say: (line: string) => void) => Promise<Prepared>,
  work: (database: Database, prepared: Prepared) => Promise<Result>,
): Promise<Result> {
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const { requireConfig } = await import('./read-config.ts')
  const config = await requireConfig(options, say)
  const prepared = await prepare(config, say)
  const store = await openStore(options, config, say)
  try {
    return await work(store.database, prepared)
  } finally {
    await store.close()
  }
}

export async function printJson(options: Options, work: (database: Database) => Promise<unknown>): Promise<number> {
  process.stdout.write(`${JSON.stringify(await withStore(options, work), null, 2)}\n`)
  return EXIT.ok
}
