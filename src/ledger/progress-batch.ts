/** Notes how far running calls have come and extends their holds, many at once. See sql/functions/progress.sql. */
import type pg from 'pg'
import { formatDecimal } from '../metering/money.ts'
import { type JsonRow, jsonArray, jsonText } from './json-rows.ts'
import { ENDS, type Ended, type Progress } from './ledger.ts'

export interface ProgressAnswer {
  outcome: 'noted' | 'extended' | 'refused' | 'closed' | 'unknown' | Ended
  /** Decimal credits. */
  held: string | null
}

const MANY = {
  name: 'ledger_progress_batch',
  text: 'select * from tollgate.ledger_progress_batch($1) order by ordinal',
}

const CHECKPOINT = {
  name: 'ledger_checkpoint_one',
  text: 'select * from tollgate.ledger_checkpoint_one($1, $2, $3)',
}

export async function sendProgress(client: pg.Client, requests: readonly Progress[]): Promise<ProgressAnswer[]> {
  const [only] = requests
  if (requests.length === 1 && only?.hold === null && only.delivered !== null && only.onEnded === undefined) {
    const { credits, apiCost } = only.delivered
    const values = [only.callId, formatDecimal(credits, 6), formatDecimal(apiCost, 9)]
    return (await client.query<ProgressAnswer>({ ...CHECKPOINT, values })).rows
  }
  return (await client.query<ProgressAnswer>({ ...MANY, values: [jsonArray(requests.map(rowOf))] })).rows
}

/** As tollgate.progress_request. */
function rowOf({ callId, organizationId, delivered, hold, onEnded }: Progress): JsonRow {
  return {
    call_id: jsonText(callId),
    org_id: jsonText(organizationId),
    credits: delivered === null ? null : formatDecimal(delivered.credits, 6),
    api_cost: delivered === null ? null : formatDecimal(delivered.apiCost, 9),
    target: hold === null ? null : formatDecimal(hold.total, 6),
    min: hold === null ? null : formatDecimal(hold.least, 6),
    ask: onEnded === undefined ? null : 'true',
    shrink: hold?.shrink === true ? 'true' : null,
  }
}

/** Tells a call whose payer may spend no longer. */
export function tellEnded({ onEnded }: Progress, { outcome }: ProgressAnswer): void {
  const why = ENDS.find((end) => end === outcome)
  if (why !== undefined) onEnded?.(why)
}
