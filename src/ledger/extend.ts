/** Makes the hold of a running call larger. Idempotent: it states the size wanted. See sql/000004-ledger-operations.sql, ledger_extend. */
import type pg from 'pg'
import { creditsToMicro, formatDecimal } from '../metering/money.ts'

const STATEMENT = { name: 'ledger_extend', text: 'select * from ledger_extend($1, $2, $3)' }

/** Answers the hold's new size in microcredits, or null when it can't be covered or the call is over. */
export async function extend(pool: pg.Pool, callId: string, total: bigint, least: bigint): Promise<bigint | null> {
  const { rows } = await pool.query<{ outcome: string; held: string | null }>({
    ...STATEMENT,
    values: [callId, formatDecimal(total, 6), formatDecimal(least, 6)],
  })
  const row = rows[0]
  return row?.outcome === 'extended' && row.held !== null ? creditsToMicro(row.held) : null
}
