/** What was called by callers' own keys, from the books: nothing of it was charged here. And the last test of a stored key. */
import { sql } from 'kysely'
import type { Database } from '../../db/connect.ts'
import type { KeyOwner } from '../../vault/vault.ts'

export interface ByokUsage {
  total_requests: number
  total_tokens: number
  /** What the provider took, in dollars, as far as it is known. */
  total_cost: number
  last_used: string | null
}

interface Row {
  requests: string
  tokens: string
  cost: number
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
      coalesce(sum(api_cost), 0)::float8 as cost, max(created_at) as last_used
    from credit_usage_attribution
    where org_id = ${organizationId} and ${whose} and created_at >= tollgate.tollgate_now() - make_interval(days => ${days})
      and source = 'proxy' and entry = 'charge' and details -> 'byok' = 'true'
      and details ->> 'key_owner' = ${kind} and details ->> 'provider' = ${provider}`.execute(database.query)
  const row = rows[0]
  return {
    total_requests: Number(row?.requests ?? 0),
    total_tokens: Number(row?.tokens ?? 0),
    total_cost: row?.cost ?? 0,
    last_used: row?.last_used?.toISOString() ?? null,
  }
}

/** Noted with the key, for every replica's list. Saving the key anew forgets it. */
export async function noteTest(
  database: Database,
  owner: KeyOwner & { id: string },
  storedAs: string,
  test: { at: string; ok: boolean },
): Promise<void> {
  const noted = JSON.stringify({ last_tested: test.at, test_status: test.ok ? 'valid' : 'failed' })
  const row =
    owner.kind === 'user'
      ? sql`update user_provider_keys set metadata = coalesce(metadata, '{}') || ${noted}::jsonb where user_id = ${owner.id}`
      : sql`update tollgate.organization_provider_keys set metadata = coalesce(metadata, '{}') || ${noted}::jsonb where org_id = ${owner.id}::uuid`
  await sql`${row} and provider = ${storedAs}`.execute(database.query)
}
