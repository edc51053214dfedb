/** Ends calls, settled with their charge or released with none, many at once. See sql/000008-ledger-batches.sql, ledger_close_batch. */
import type pg from 'pg'
import { formatDecimal } from '../metering/money.ts'
import type { Closing, Settlement } from './ledger.ts'
import { plainArray, textArray } from './sql-array.ts'
import { storableJson, storableText } from './storable.ts'

/** How a call ends; a release is one without charge. */
export type Close = { state: 'settled'; closing: Settlement } | { state: 'released'; closing: Closing }

/** Amounts are decimal credits. */
export interface CloseAnswer {
  charged: string
  remaining: string | null
  key_used: string | null
}

const STATEMENT = {
  name: 'ledger_close_batch',
  text: `select * from ledger_close_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'proxy', $12, $13, $14) order by place`,
}

export async function sendCloses(client: pg.Client, closes: readonly Close[]): Promise<CloseAnswer[]> {
  const amount = (of: (settlement: Settlement) => bigint, scale: number) =>
    plainArray(closes.map((close) => formatDecimal(close.state === 'settled' ? of(close.closing) : 0n, scale)))
  const { rows } = await client.query<CloseAnswer>({
    ...STATEMENT,
    values: [
      plainArray(closes.map(({ closing }) => closing.callId)),
      plainArray(closes.map(({ state }) => state)),
      plainArray(closes.map(({ closing }) => closing.organizationId)),
      textArray(closes.map(({ closing }) => storableText(closing.userId, 255))),
      amount((settlement) => settlement.charge, 6),
      plainArray(closes.map(() => 'llm_inference')),
      textArray(closes.map(({ closing }) => storableText(closing.serviceName, 200))),
      amount((settlement) => settlement.apiCost, 9),
      amount((settlement) => settlement.markup, 9),
      textArray(closes.map(({ closing: { requestId } }) => (requestId === null ? null : storableText(requestId, 255)))),
      plainArray(closes.map(() => null)),
      plainArray(closes.map((close) => (close.state === 'settled' ? close.closing.provenance : null))),
      plainArray(closes.map(({ closing }) => closing.outcome)),
      textArray(closes.map(({ closing }) => storableJson(closing.details))),
    ],
  })
  return rows
}
