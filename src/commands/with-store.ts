/** Runs the work of a command on its database, and prints what comes of it as JSON. */
import type { Database } from '../db/connect.ts'
import { EXIT } from './exit.ts'
import { openStore } from './open-store.ts'
import type { Options } from './options.ts'
import { requireConfig } from './read-config.ts'

export async function withStore<Result>(
  options: Options,
  work: (database: Database) => Promise<Result>,
): Promise<Result> {
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const store = await openStore(options, await requireConfig(options, say), say)
  try {
    return await work(store.database)
  } finally {
    await store.close()
  }
}

export async function printJson(options: Options, work: (database: Database) => Promise<unknown>): Promise<number> {
  process.stdout.write(`${JSON.stringify(await withStore(options, work), null, 2)}\n`)
  return EXIT.ok
}
