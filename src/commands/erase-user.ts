/** `tollgate erase-user`: prints the pseudonym and what was changed as JSON. */
import { randomUUID } from 'node:crypto'
import { eraseUser } from '../billing/erase-user.ts'
import { findOrganization } from '../billing/find-organization.ts'
import { connect } from '../db/connect.ts'
import { AUDIT_PATIENCE_MS } from '../ledger/audit.ts'
import { databaseConfig } from './database-config.ts'
import { EXIT } from './exit.ts'
import { openStore } from './open-store.ts'
import type { Options } from './options.ts'

export async function eraseUserData(options: Options): Promise<number> {
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const store = await openStore(options, await databaseConfig(options, say), say)
  // A connection that waits as long as years of calls need.
  const database = connect(store.url, { maxConnections: 1, patienceMs: AUDIT_PATIENCE_MS })
  try {
    const organizationId = options.org === '' ? null : (await findOrganization(database.query, options.org)).id
    const pseudonym = `erased-${randomUUID()}`
    const erased = await eraseUser(database, { userId: options.user, organizationId, pseudonym })
    process.stdout.write(`${JSON.stringify(erased, null, 2)}\n`)
    return EXIT.ok
  } finally {
    await database.close()
    await store.close()
  }
}
