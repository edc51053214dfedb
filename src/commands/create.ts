/** `tollgate org create` and `tollgate key create`: print what was made as JSON. */
import { createKey } from '../admin/create-key.ts'
import { createOrganization } from '../billing/create-organization.ts'
import type { Database } from '../db/connect.ts'
import { EXIT } from './exit.ts'
import { openStore } from './open-store.ts'
import type { Options } from './options.ts'
import { requireConfig } from './read-config.ts'

export function orgCreate(options: Options): Promise<number> {
  return make(options, (database) => createOrganization(database, options))
}

export function keyCreate(options: Options): Promise<number> {
  const { org, user, allocate, role, label } = options
  return make(options, (database) => createKey(database, { organization: org, user, allocate, role, name: label }))
}

async function make(options: Options, create: (database: Database) => Promise<object>): Promise<number> {
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const store = await openStore(options, await requireConfig(options, say), say)
  try {
    process.stdout.write(`${JSON.stringify(await create(store.database), null, 2)}\n`)
    return EXIT.ok
  } finally {
    await store.close()
  }
}
