/** Notes how far running calls have come and extends their holds, many at once. See sql/000008-ledger-batches.sql, ledger_progress_batch. */
import type pg from 'pg'
import { formatDecimal } from '../metering/money.ts'
import type { Progress } from './ledger.ts'
import { plainArray } from './sql-array.ts'

export interface ProgressAnswer {
  outcome: 'noted' | 'extended' | 'refused' | 'closed' | 'unknown'
  /** Decimal credits. */
  held: string | null
}

const STATEMENT = {
  name: 'ledger_progress_batch',
  text: 'select * from ledger_progress_batch($1, $2, $3, $4, $5, $6) order by place',
}

export async function sendProgress(client: pg.Client, requests: readonly Progress[]): Promise<ProgressAnswer[]> {
  const { rows } = await client.query<ProgressAnswer>({
    ...STATEMENT,
    values: [
      plainArray(requests.map((request) => request.callId)),
      plainArray(requests.map((request) => request.organizationId)),
      plainArray(requests.map(({ delivered }) => (delivered === null ? null : formatDecimal(delivered.credits, 6)))),
      plainArray(requests.map(({ delivered }) => (delivered === null ? null : formatDecimal(delivered.apiCost, 9)))),
      plainArray(requests.map(({ hold }) => (hold === null ? null : formatDecimal(hold.total, 6)))),
      plainArray(requests.map(({ hold }) => (hold === null ? null : formatDecimal(hold.least, 6)))),
    ],
  })
  return rows
}
