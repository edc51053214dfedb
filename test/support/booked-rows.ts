/** Everything the books say of a call, its corrections included. Amounts are decimal credits. */
import type pg from 'pg'
import { expect, vi } from 'vitest'
import type { OpenCall } from './open-call.ts'

export interface BookedRow {
  /** charge, correction, or given back: a correction downwards, which is a row of the journal */
  entry: string
  credits: string
  provenance: string | null
  outcome: string | null
}

export async function bookedRows(pool: pg.Pool, { requestId }: OpenCall): Promise<BookedRow[]> {
  const { rows } = await pool.query<BookedRow>(
    `select entry, credits_used::text as credits, provenance, outcome from credit_usage_attribution where request_id = $1
     union all
     select 'given back', (-allocation_allocated)::text, null, null from tollgate.ledger_journal
     where kind = 'correction' and call_id in (select call_id from tollgate.ledger_holds where request_id = $1)
     order by entry`,
    [requestId],
  )
  return rows
}

/** Waits for a settlement or a recovery that is still on its way. */
export function expectBookedRows(pool: pg.Pool, call: OpenCall, rows: BookedRow[]): Promise<void> {
  return vi.waitFor(async () => expect(await bookedRows(pool, call)).toEqual(rows), { timeout: 15_000, interval: 50 })
}

export const charge = (credits: string, how: Partial<BookedRow> = {}): BookedRow => ({
  entry: 'charge',
  credits,
  provenance: 'provider_usage',
  outcome: 'answered',
  ...how,
})
export const recovered = (credits: string) => charge(credits, { provenance: 'recovered', outcome: 'recovered' })
export const correction = (credits: string) => ({ ...charge(credits), entry: 'correction' })
