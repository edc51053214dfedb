/** What was called with callers' own keys, from the books. None of it was charged here. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { type ExactNumber, exactNumber } from '../http/exact-number.ts'

export interface ByokUsage {
  total_requests: number
  total_tokens: number
  /** What the provider charged, in dollars, as far as it is known. */
  total_cost: ExactNumber
  last_used: string | null
}

interface Row {
  requests: string
  tokens: string
  cost: string
  last_used: Date | null
}

/** Calls of the last `days` with a user's, or the organization's, own key of a provider. */
export async function findByokUsage(
  database: Database,
  kind: 'user' | 'organization',
  { organizationId, userId }: { organizationId: string; userId: string },
  provider: string,
  days: number,
): Promise<ByokUsage> {
  const whose = kind === 'user' ? sql`user_id = ${userId}` : sql`true`
  const { rows } = await sql<Row>`select count(*) as requests,
      coalesce(sum((details -> 'usage' ->> 'total_tokens')::numeric), 0) as tokens,
      trim_scale(coalesce(sum(api_cost), 0))::text as cost, max(created_at) as last_used
    from credit_usage_attribution
    where org_id = ${organizationId} and ${whose} and created_at >= tollgate.tollgate_now() - make_interval(days => ${days})
      and source = 'proxy' and entry = 'charge' and details -> 'byok' = 'true'
      and details ->> 'key_owner' = ${kind} and details ->> 'provider' = ${provider}`.execute(database.query)
  const row = rows[0]
  return {
    total_requests: Number(row?.requests ?? 0),
    total_tokens: Number(row?.tokens ?? 0),
    total_cost: exactNumber(row?.cost ?? '0'),
    last_used: row?.last_used?.toISOString() ?? null,
  }
}
