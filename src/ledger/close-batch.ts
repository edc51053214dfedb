/** Ends calls, settled with their charge or released with none, many at once. See sql/000016-ledger-sets.sql, ledger_close_batch; one by itself is cheaper. */
import type pg from 'pg'
import { formatDecimal } from '../metering/money.ts'
import type { Closing, Settlement } from './ledger.ts'
import { arraysOf } from './sql-array.ts'
import { storableJson, storableText } from './storable.ts'

/** How a call ends; a release is one without charge. */
export type Close = { state: 'settled'; closing: Settlement } | { state: 'released'; closing: Closing }

/** Amounts are decimal credits. */
export interface CloseAnswer {
  charged: string
  remaining: string | null
  key_used: string | null
}

const MANY = {
  name: 'ledger_close_batch',
  text: `select * from ledger_close_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'proxy', $12, $13, $14) order by place`,
}
const ONE = {
  name: 'ledger_close_one',
  text: `select * from ledger_close_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'proxy', $12, $13, $14)`,
}

export async function sendCloses(client: pg.Client, closes: readonly Close[]): Promise<CloseAnswer[]> {
  const rows = closes.map(columnsOf)
  const [only] = rows
  if (rows.length === 1 && only !== undefined) {
    return (await client.query<CloseAnswer>({ ...ONE, values: [...only] })).rows
  }
  return (await client.query<CloseAnswer>({ ...MANY, values: arraysOf(rows, DETAILS) })).rows
}

/** Its place among the columns. */
const DETAILS = 13

/** In the order of the function's parameters, but for the source. */
function columnsOf({ state, closing }: Close): (string | null)[] {
  const { requestId } = closing
  const { charge, apiCost, markup, provenance } =
    state === 'settled' ? closing : { charge: 0n, apiCost: 0n, markup: 0n, provenance: null }
  return [
    closing.callId,
    state,
    closing.organizationId,
    storableText(closing.userId, 255),
    formatDecimal(charge, 6),
    'llm_inference',
    storableText(closing.serviceName, 200),
    formatDecimal(apiCost, 9),
    formatDecimal(markup, 9),
    requestId === null ? null : storableText(requestId, 255),
    null,
    provenance,
    closing.outcome,
    storableJson(closing.details),
  ]
}
