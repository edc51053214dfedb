/** What the books say about calls. Amounts are decimal strings of credits (or dollars, for costs), as PostgreSQL writes them. */
import type pg from 'pg'
import { expect, vi } from 'vitest'
import type { Tally } from './upstream.ts'

export interface CallRow {
  call_id: string
  entry: string
  org_id: string
  user_id: string
  credits_used: string
  api_cost: string
  markup_applied: string
  total_cost: string
  provenance: string | null
  outcome: string | null
  request_id: string | null
  service_name: string | null
  service_type: string | null
  details: Record<string, unknown>
}

/** The attribution rows of an organization, oldest first. */
export async function rowsOf(pool: pg.Pool, orgId: string): Promise<CallRow[]> {
  const { rows } = await pool.query<CallRow>(
    'select * from credit_usage_attribution where org_id = $1 order by created_at, call_id',
    [orgId],
  )
  return rows
}

export interface ChargedRow {
  outcome: string | null
  provenance: string | null
  charge: string
}

/** How the calls of an organization ended, and what they were charged. */
export async function chargesOf(pool: pg.Pool, orgId: string): Promise<(ChargedRow & Pick<CallRow, 'service_type'>)[]> {
  return (await rowsOf(pool, orgId)).map(({ outcome, provenance, credits_used, service_type }) => {
    return { outcome, provenance, charge: credits_used, service_type }
  })
}

/** A settlement that took longer than its response waited is still on its way. */
export async function expectBooked(pool: pg.Pool, orgId: string, rows: readonly unknown[]): Promise<void> {
  await vi.waitFor(
    async () => {
      const booked = (await chargesOf(pool, orgId)).map(({ service_type: _, ...row }) => row)
      expect(booked).toEqual(rows)
    },
    { timeout: 20_000, interval: 20 },
  )
}

/** The one row of a call. Fails where there are none or several. */
export async function rowOfCall(pool: pg.Pool, callId: string | null): Promise<CallRow> {
  const { rows } = await pool.query<CallRow>('select * from credit_usage_attribution where call_id = $1', [callId])
  expect(rows, `the rows of call ${callId}`).toHaveLength(1)
  return rows[0] as CallRow
}

/**
 * Nothing is held any more, anywhere: neither on pools, allocations and limits nor by an open hold. Waits for a settlement
 * that is still on its way, as one is when the caller left before it was made.
 */
export async function expectNothingHeld(pool: pg.Pool): Promise<void> {
  await vi.waitFor(
    async () => {
      const { rows } = await pool.query(
        `select (select count(*) from organization_credit_pools where held_credits <> 0)::int as pools,
                (select count(*) from user_credit_allocations where held_credits <> 0)::int as allocations,
                (select count(*) from tollgate.ledger_limits where held <> 0)::int as limits,
                (select count(*) from tollgate.ledger_holds where state = 'open')::int as open_holds`,
      )
      expect(rows, 'what is held when nothing runs').toEqual([{ pools: 0, allocations: 0, limits: 0, open_holds: 0 }])
    },
    { timeout: 20_000, interval: 20 },
  )
}

/**
 * The tokens the provider will bill are the tokens on the books, over the whole database. Only where every answer so far
 * stated its usage and went out in whole.
 */
export async function expectBooksMatch(pool: pg.Pool, tally: Tally): Promise<void> {
  const { rows } = await pool.query(
    `select count(*)::int as completed,
            coalesce(sum((details -> 'usage' ->> 'prompt_tokens')::bigint), 0)::int as "promptTokens",
            coalesce(sum((details -> 'usage' ->> 'completion_tokens')::bigint), 0)::int as "completionTokens"
       from credit_usage_attribution where provenance = 'provider_usage'`,
  )
  const { completed, promptTokens, completionTokens } = tally
  expect(rows, 'tokens on the books').toEqual([{ completed, promptTokens, completionTokens }])
}

/** A user's credits. */
export async function balanceOf(
  pool: pg.Pool,
  orgId: string,
  userId: string,
): Promise<{ used: string; remaining: string; held: string }> {
  const { rows } = await pool.query<{ used: string; remaining: string; held: string }>(
    `select used_credits as used, remaining_credits as remaining, held_credits as held
       from user_credit_allocations where org_id = $1 and user_id = $2`,
    [orgId, userId],
  )
  if (rows[0] === undefined) throw new Error(`no allocation of ${userId}`)
  return rows[0]
}
