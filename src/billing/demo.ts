/**
 * The demo organization of the embedded store: one user with credits and a key, so that the first call needs nothing else. Its
 * key is the one key kept in clear, in a file of the data directory only its owner reads, so that it is the same tomorrow.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import { hashKey, isApiKey } from '../identity/api-key.ts'
import { MICROCREDITS_PER_CREDIT } from '../metering/money.ts'
import { createKey } from './create-key.ts'
import { createOrganization } from './create-organization.ts'

/** Also what the organization is called. */
export const DEMO_USER = 'demo'
const NAME = DEMO_USER
const CREDITS = 10_000n * MICROCREDITS_PER_CREDIT

/** Returns the demo key; makes organization, user and key where they are missing. */
export async function demoKey(database: Database, dataDir: string): Promise<string> {
  const file = join(dataDir, 'demo-key')
  const kept = (await readFile(file, 'utf8').catch(() => '')).trim()
  if (isApiKey(kept) && (await isKnown(database, kept))) return kept
  const isNew = await makeOrganization(database)
  const { key } = await createKey(database, {
    organization: NAME,
    user: NAME,
    allocate: isNew ? CREDITS : 0n,
    role: isNew ? 'owner' : null,
    name: 'demo',
  })
  await writeFile(file, `${key}\n`, { mode: 0o600 })
  return key
}

async function isKnown(database: Database, key: string): Promise<boolean> {
  const row = await database.query
    .selectFrom('tollgate.api_keys')
    .select('id')
    .where('key_hash', '=', hashKey(key))
    .where('is_active', '=', true)
    .executeTakeFirst()
  return row !== undefined
}

/** False when it was there already. */
async function makeOrganization(database: Database): Promise<boolean> {
  try {
    await createOrganization(database, { name: NAME, plan: 'platform', credits: CREDITS })
    return true
  } catch (error) {
    if (error instanceof TollgateError && error.code === 'organization_exists') return false
    throw error
  }
}
