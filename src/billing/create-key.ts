/** A new API key for a user of an organization; the user becomes a member and is given credits on the way. All or nothing. */

import type { Database } from '../db/connect.ts'
import { newApiKey } from '../identity/api-key.ts'
import { type JoinedMember, join, type NewMember } from './members.ts'

export interface NewKeyRequest extends NewMember {
  name: string | null
}

export interface CreatedKey extends JoinedMember {
  id: string
  /** Shown only once. */
  key: string
  preview: string
}

/** @throws {TollgateError} 404 for an unknown organization, 400 when its pool doesn't cover the allocation. */
export async function createKey(database: Database, request: NewKeyRequest): Promise<CreatedKey> {
  const { key, hash, preview } = newApiKey()
  return database.query.transaction().execute(async (transaction) => {
    const member = await join(transaction, request, 'tollgate key create')
    const { id } = await transaction
      .insertInto('tollgate.api_keys')
      .values({
        key_hash: hash,
        preview,
        name: request.name,
        org_id: member.organization.id,
        user_id: request.user,
        expires_at: null,
        created_by: null,
      })
      .returning('id')
      .executeTakeFirstOrThrow()
    return { id, key, preview, ...member }
  })
}
