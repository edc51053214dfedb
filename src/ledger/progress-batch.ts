/** Notes how far running calls have come and extends their holds, many at once. See sql/000010-ledger-progress.sql, ledger_progress_batch. */
import type pg from 'pg'
import { formatDecimal } from '../metering/money.ts'
import type { Progress } from './ledger.ts'
import { arraysOf } from './sql-array.ts'

export interface ProgressAnswer {
  outcome: 'noted' | 'extended' | 'refused' | 'closed' | 'unknown'
  /** Decimal credits. */
  held: string | null
}

const MANY = {
  name: 'ledger_progress_batch',
  text: 'select * from ledger_progress_batch($1, $2, $3, $4, $5, $6) order by place',
}

const CHECKPOINT = {
  name: 'ledger_checkpoint_one',
  text: 'select * from ledger_checkpoint_one($1, $2, $3)',
}

export async function sendProgress(client: pg.Client, requests: readonly Progress[]): Promise<ProgressAnswer[]> {
  const [only] = requests
  if (requests.length === 1 && only?.hold === null) {
    const [callId, , credits, apiCost] = columnsOf(only)
    return (await client.query<ProgressAnswer>({ ...CHECKPOINT, values: [callId, credits, apiCost] })).rows
  }
  const values = arraysOf(requests.map(columnsOf))
  return (await client.query<ProgressAnswer>({ ...MANY, values })).rows
}

/** In the order of the function's parameters. */
function columnsOf({ callId, organizationId, delivered, hold }: Progress): (string | null)[] {
  return [
    callId,
    organizationId,
    delivered === null ? null : formatDecimal(delivered.credits, 6),
    delivered === null ? null : formatDecimal(delivered.apiCost, 9),
    hold === null ? null : formatDecimal(hold.total, 6),
    hold === null ? null : formatDecimal(hold.least, 6),
  ]
}
