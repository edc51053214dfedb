/** The result of a test is kept with the stored key, so every replica lists it. Saving the key again forgets it. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { type KeyOwner, type KeyProvider, storedName } from './key-owner.ts'

export async function noteKeyTest(
  database: Database,
  provider: KeyProvider,
  owner: KeyOwner & { id: string },
  test: { at: string; ok: boolean },
): Promise<void> {
  const noted = JSON.stringify({ last_tested: test.at, test_status: test.ok ? 'valid' : 'failed' })
  const row =
    owner.kind === 'user'
      ? sql`update user_provider_keys set metadata = coalesce(metadata, '{}') || ${noted}::jsonb where user_id = ${owner.id}`
      : sql`update tollgate.organization_provider_keys set metadata = coalesce(metadata, '{}') || ${noted}::jsonb where org_id = ${owner.id}::uuid`
  await sql`${row} and provider = ${storedName(provider, owner.kind)}`.execute(database.query)
}
