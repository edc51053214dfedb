/** `tollgate migrate`. */
import { EXIT } from './exit.ts'
import { openStore } from './open-store.ts'
import type { Options } from './options.ts'
import { requireConfig } from './read-config.ts'

export async function migrateSchema(options: Options): Promise<number> {
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const store = await openStore(options, await requireConfig(options, say), say)
  await store.close()
  process.stdout.write(
    store.migrated.length === 0 ? 'The schema is up to date.\n' : `Applied: ${store.migrated.join(', ')}\n`,
  )
  return EXIT.ok
}
