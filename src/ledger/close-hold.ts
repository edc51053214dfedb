/** Ends a hold: settled with its charge or released with none. Idempotent by call id. See sql/000004-ledger-operations.sql, ledger_close. */
import type pg from 'pg'
import { creditsToMicro, formatDecimal } from '../metering/money.ts'
import type { Closing, Settled, Settlement } from './ledger.ts'
import { storableJson, storableText } from './storable.ts'

interface CloseRow {
  charged: string
  remaining: string | null
  key_used: string | null
}

const STATEMENT = {
  name: 'ledger_close',
  text: 'select * from ledger_close($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)',
}

export async function settleHold(pool: pg.Pool, settlement: Settlement): Promise<Settled> {
  const { charge, apiCost, markup, provenance } = settlement
  const row = await close(pool, 'settled', settlement, charge, apiCost, markup, provenance)
  return {
    state: 'settled',
    charged: creditsToMicro(row.charged),
    remaining: creditsToMicro(row.remaining ?? '0'),
    keySpend: row.key_used === null ? null : creditsToMicro(row.key_used),
  }
}

export async function releaseHold(pool: pg.Pool, closing: Closing): Promise<void> {
  await close(pool, 'released', closing, 0n, 0n, 0n, null)
}

async function close(
  pool: pg.Pool,
  state: 'settled' | 'released',
  closing: Closing,
  charge: bigint,
  apiCost: bigint,
  markup: bigint,
  provenance: string | null,
): Promise<CloseRow> {
  const { rows } = await pool.query<CloseRow>({
    ...STATEMENT,
    values: [
      closing.callId,
      state,
      closing.organizationId,
      closing.userId,
      formatDecimal(charge, 6),
      'llm_inference',
      storableText(closing.serviceName, 200),
      formatDecimal(apiCost, 9),
      formatDecimal(markup, 9),
      closing.requestId === null ? null : storableText(closing.requestId, 255),
      null,
      'proxy',
      provenance,
      closing.outcome,
      storableJson(closing.details),
    ],
  })
  const row = rows[0]
  if (row === undefined) throw new Error('ledger_close answered no row')
  return row
}
