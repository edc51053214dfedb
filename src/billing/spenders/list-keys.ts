/** Virtual keys, the newest first. */
import { sql } from 'kysely'
import type { Database } from '../../db/connect.ts'
import type { Caller } from '../../identity/caller.ts'
import { within } from './place.ts'
import { countRows, type SpenderRow, selectRows } from './rows.ts'
import { hashOf } from './virtual-keys.ts'

/** Null: any. */
export interface KeyFilter {
  userId: string | null
  team: string | null
  organizationId: string | null
  alias: string | null
  hash: string | null
}

export async function listVirtualKeys(
  database: Database,
  caller: Caller,
  filter: KeyFilter,
  page: { limit: number; offset: number },
): Promise<{ rows: SpenderRow[]; total: number }> {
  const { userId, team, organizationId, alias, hash } = filter
  const where = sql`${within(caller)} and s.kind = 'key'
    and (${userId}::varchar is null or s.user_id = ${userId}) and (${team}::varchar is null or s.team = ${team})
    and (${organizationId}::varchar is null or s.org_id::varchar = ${organizationId})
    and (${alias}::varchar is null or k.name = ${alias})
    and (${hash}::varchar is null or k.key_hash = ${hash === null ? null : hashOf(hash)}::bytea)`
  const [rows, total] = await Promise.all([selectRows(database, where, page), countRows(database, where)])
  return { rows, total }
}
