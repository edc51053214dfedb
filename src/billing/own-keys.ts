/** A user's keys of both kinds, with what bounds them and what they spent. Credits are decimal strings. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'
import type { Caller } from '../identity/caller.ts'
import { type SpenderRow, selectRows } from './spenders/rows.ts'

export interface OwnKey {
  id: string
  name: string
  preview: string
  state: 'active' | 'expired' | 'revoked'
  created_at: string
  expires_at: string | null
  /** A day in UTC: the newest with a call. */
  last_used_on: string | null
  /** Ever. */
  spent: string
  /** Its budgets, rates and models; null for a key without any of its own. */
  bounds: SpenderRow | null
}

type Row = Omit<OwnKey, 'bounds'>

/** Revoked ones are shown for as long: an application that still uses one is looked for then. */
const REVOKED_SHOWN = sql`interval '30 days'`

/** The newest first. */
export async function listOwnKeys(database: Database, { organizationId, userId }: Caller): Promise<OwnKey[]> {
  const { rows } = await sql<Row>`
    select k.id, coalesce(k.name, k.preview) as name, k.preview, ${isoTime('k.created_at')} as created_at,
      ${isoTime('k.expires_at')} as expires_at, u.last_used_on, trim_scale(coalesce(u.spent, 0))::text as spent,
      case when not k.is_active then 'revoked' when k.expires_at <= tollgate.tollgate_now() then 'expired' else 'active' end as state
    from tollgate.api_keys k
    left join lateral (
      select max(d.day)::text as last_used_on, sum(d.credits) as spent from (
        select day, credits from tollgate.usage_days
          where org_id = k.org_id and user_id = k.user_id and key_id = k.id::text
        union all
        select day, credits from tollgate.usage_deltas
          where org_id = k.org_id and user_id = k.user_id and key_id = k.id::text) d) u on true
    where k.org_id = ${organizationId} and k.user_id = ${userId} and k.kind in ('api_key', 'virtual_key')
      and (k.is_active or k.created_at > tollgate.tollgate_now() - ${REVOKED_SHOWN})
    order by k.created_at desc, k.id
    limit 500`.execute(database.query)
  const bounds = await selectRows(
    database,
    sql`s.kind = 'key' and s.org_id = ${organizationId} and k.user_id = ${userId}`,
  )
  const byId = new Map(bounds.map((row) => [row.id, row]))
  return rows.map((row) => ({ ...row, bounds: byId.get(row.id) ?? null }))
}
