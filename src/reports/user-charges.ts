/** The charges of one user in one organization, with what was refunded of each. Credits are decimal strings, times ISO 8601. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'

export interface UserCharge {
  /** Of the call. */
  id: string
  service_type: string
  service_name: string | null
  credits_used: string
  credits_refunded: string
  request_id: string | null
  session_id: string | null
  request_metadata: unknown
  created_at: string
}

/** The newest first. */
export async function listUserCharges(
  database: Database,
  organizationId: string,
  userId: string,
  { limit, offset, session_id: session }: { limit: number; offset: number; session_id?: string | undefined },
): Promise<UserCharge[]> {
  const { rows } = await sql<UserCharge>`
    select c.call_id as id, c.service_type, c.service_name, c.credits_used, c.request_id, c.details ->> 'session_id' as session_id, c.request_metadata,
      ${isoTime('c.created_at')} as created_at,
      coalesce((select sum(j.pool_total) from tollgate.ledger_journal j
        where j.call_id = c.call_id and j.kind = 'refund'), 0)::text as credits_refunded
    from credit_usage_attribution c where c.org_id = ${organizationId} and c.user_id = ${userId}
      ${session === undefined ? sql`` : sql`and c.details ->> 'session_id' = ${session}`}
    order by c.created_at desc, c.id limit ${limit} offset ${offset}`.execute(database.query)
  return rows
}
