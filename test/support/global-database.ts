/**
 * One real PostgreSQL for the whole run: the embedded one, started as the product starts it and with its durable settings, so
 * that what tests prove about commits holds for what ships. Test files copy the migrated template; see database.ts.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { openEmbeddedStore } from '../../src/db/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'

export interface DatabaseServer {
  /** Connects as superuser to the server's own database, which tests leave alone. */
  url: string
  /** Migrated, empty but for the rows migrations make, and closed to connections. */
  template: string
}

declare module 'vitest' {
  export interface ProvidedContext {
    databaseServer: DatabaseServer
  }
}

const template = 'tollgate_template'

export default async function startDatabase(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tollgate-test-'))
  // Under root the server runs as another user, who has to get through; what it keeps there is 0700 all the same.
  await chmod(dataDir, 0o711)
  const store = await openEmbeddedStore(dataDir)
  const stop = async () => {
    await store.close()
    await rm(dataDir, { recursive: true, force: true })
  }
  try {
    await makeTemplate(store.url)
  } catch (error) {
    await stop()
    throw error
  }
  project.provide('databaseServer', { url: store.url, template })
  return stop
}

async function makeTemplate(serverUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl })
  await client.connect()
  try {
    await client.query(`create database ${template}`)
    await migrate(urlOfDatabase(serverUrl, template))
    await client.query(`alter database ${template} with allow_connections false is_template true`)
  } finally {
    await client.end()
  }
}

/** The same server, another database. */
export function urlOfDatabase(serverUrl: string, name: string): string {
  const [address, search] = serverUrl.split('?')
  return `${address?.replace(/\/[^/]*$/, `/${name}`)}${search === undefined ? '' : `?${search}`}`
}
