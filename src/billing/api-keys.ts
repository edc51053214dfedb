/** API keys as an operator sees them: never the key, only enough of it to recognize it. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import { findOrganization } from './find-organization.ts'

export interface ListedKey {
  id: string
  preview: string
  /** `active`, `revoked` or `expired`. */
  state: string
  organization: string
  user: string
  label: string | null
  created_at: Date
}

/** @param organization name or id; null for all. The oldest first. @throws {TollgateError} 404. */
export async function listKeys(database: Database, organization: string | null): Promise<ListedKey[]> {
  const only = organization === null ? null : (await findOrganization(database.query, organization)).id
  const { rows } = await sql<ListedKey>`
    select k.id, k.preview, o.name as organization, k.user_id as user, k.name as label, k.created_at,
      case when not k.is_active then 'revoked' when k.expires_at <= now() then 'expired' else 'active' end as state
    from tollgate.api_keys k join organizations o on o.id = k.org_id
    where ${only}::uuid is null or k.org_id = ${only}::uuid
    order by k.created_at, k.id`.execute(database.query)
  return rows
}

/** It is refused everywhere within a second. A revoked one stays revoked. @throws {TollgateError} 404. */
export async function revokeKey(database: Database, id: string): Promise<{ id: string; state: 'revoked' }> {
  const done = await database.query
    .updateTable('tollgate.api_keys')
    .set({ is_active: false })
    .where('id', '=', id)
    .executeTakeFirst()
  if (done.numUpdatedRows === 0n)
    throw new TollgateError(404, 'key_not_found', `There is no key ${id}. tollgate key list shows them.`)
  return { id, state: 'revoked' }
}
