/**
 * Charges whose statement was not possible, and how the operator settles each: once, by a correction. The ledger's SQL function writes
 * it; a second settling returns what the first one came to and changes nothing.
 */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { formatDecimal } from '../metering/money.ts'

/** Amounts are decimals: credits, and dollars for `stated_api_cost`. */
export interface Dispute {
  call_id: string
  created_at: Date
  organization: string
  user_id: string
  model: string | null
  charged: string
  /** What the provider stated that the call cost the operator. */
  stated_api_cost: string
}

/** What a disputed call shall cost: an amount in microcredits, what the provider's statement comes to, or what was charged. */
export type DisputeTerms = { credits: bigint } | 'as-stated' | 'as-charged'

export interface DisputeSettled {
  outcome: 'settled' | 'already_settled' | 'not_disputed' | 'unknown'
  /** Decimal credits the call costs from now on; null where there is no such call. */
  charged: string | null
}

/** Disputed calls that no correction has settled yet, the oldest first. */
export async function listDisputes(database: Database): Promise<Dispute[]> {
  const { rows } = await sql<Dispute>`
    select c.call_id, c.created_at, o.name as organization, c.user_id, c.service_name as model, b.credits::numeric(20, 6) as charged,
      b.api_cost as stated_api_cost
    from credit_usage_attribution c
    join organizations o on o.id = c.org_id
    cross join lateral tollgate.ledger_booked(c.call_id) b
    where c.provenance = 'disputed' and c.cause <> 'dispute' and not 'dispute' = any(b.corrected)
    order by c.created_at, c.call_id`.execute(database.query)
  return rows
}

/**
 * Books the correction. What the operator is taken to owe the provider is never more than the call costs, unless the statement is
 * accepted as it was.
 */
export async function settleDispute(
  database: Database,
  callId: string,
  terms: DisputeTerms,
  actor: string,
): Promise<DisputeSettled> {
  const amount =
    terms === 'as-stated'
      ? sql`coalesce((c.details ->> 'stated_credits')::numeric, b.credits)`
      : terms === 'as-charged'
        ? sql`b.credits`
        : sql`${formatDecimal(terms.credits, 6)}::numeric`
  const cost = terms === 'as-stated' ? sql`b.api_cost` : sql`least(b.api_cost, ${amount} / 1000)`
  const { rows } = await sql<DisputeSettled>`
    select s.outcome, s.charged
    from (
      select * from credit_usage_attribution where call_id = ${callId} order by provenance = 'disputed' desc nulls last, cause limit 1) c
    cross join lateral tollgate.ledger_booked(c.call_id) b
    cross join lateral tollgate.ledger_settle_dispute(c.call_id, ${amount}, ${cost}, ${actor}) s`.execute(
    database.query,
  )
  return rows[0] ?? { outcome: 'unknown', charged: null }
}
