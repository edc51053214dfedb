/**
 * What a user's newest calls of a model used. It looks through the newest calls of the user only, and not for long: a quote is no
 * reason to read somebody's whole history. Where that takes too long nothing is known.
 */
import { sql } from 'kysely'
import { type Database, sqlState } from '../db/connect.ts'
import type { UsualUsage } from '../metering/usual-usage.ts'
import type { Payer } from './caller-credits.ts'

/** Of these, those of the model. */
const NEWEST = 500
const PATIENCE_MS = 250
const QUERY_CANCELED = '57014'

/** @returns null where there is no such call that the provider stated usage of. */
export async function findUsualUsage(
  database: Database,
  { organizationId, userId }: Payer,
  model: string,
): Promise<UsualUsage | null> {
  try {
    const { rows } = await database.query.transaction().execute(async (transaction) => {
      await sql`select set_config('statement_timeout', ${String(PATIENCE_MS)}, true)`.execute(transaction)
      return sql<UsualUsage>`
        with newest as materialized (
          select service_name, outcome, provenance, details -> 'usage' as usage
          from credit_usage_attribution
          where org_id = ${organizationId} and user_id = ${userId} and entry = 'charge' and source = 'proxy'
            and created_at >= tollgate.tollgate_now() - interval '30 days'
          order by created_at desc limit ${NEWEST})
        select count(*)::int as calls, ceil(avg((usage ->> 'completion_tokens')::numeric))::float8 as "outputTokens",
          coalesce(trunc(sum((usage -> 'prompt_tokens_details' ->> 'cached_tokens')::numeric) * 1000000
            / nullif(sum((usage ->> 'prompt_tokens')::numeric), 0)), 0)::float8 as "cachedShare"
        from newest
        where service_name = ${model} and outcome = 'answered' and provenance in ('provider_usage', 'provider_cost')`.execute(
        transaction,
      )
    })
    const [row] = rows
    return row === undefined || row.calls === 0 ? null : row
  } catch (error) {
    if (sqlState(error) === QUERY_CANCELED) return null
    throw error
  }
}
