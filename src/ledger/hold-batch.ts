/** Takes holds, many at once. See sql/000008-ledger-batches.sql, ledger_hold_batch. */
import type pg from 'pg'
import { formatDecimal } from '../metering/money.ts'
import type { HoldRequest } from './ledger.ts'
import { plainArray, textArray } from './sql-array.ts'
import { storableJson, storableText } from './storable.ts'

/** Amounts are decimal credits. */
export interface HoldAnswer {
  outcome: string
  held: string | null
  input: string | null
  required: string | null
  available: string | null
  remaining: string | null
  limit_kind: string | null
  key_used: string | null
}

const STATEMENT = {
  name: 'ledger_hold_batch',
  text: 'select * from ledger_hold_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) order by place',
}

export async function sendHolds(
  client: pg.Client,
  owner: string,
  requests: readonly HoldRequest[],
): Promise<HoldAnswer[]> {
  const { rows } = await client.query<HoldAnswer>({
    ...STATEMENT,
    values: [
      owner,
      plainArray(requests.map((request) => request.callId)),
      plainArray(requests.map((request) => request.organizationId)),
      textArray(requests.map((request) => storableText(request.userId, 255))),
      plainArray(requests.map((request) => formatDecimal(request.input, 6))),
      plainArray(requests.map((request) => formatDecimal(request.inputBytes, 6))),
      plainArray(requests.map((request) => formatDecimal(request.output, 6))),
      plainArray(requests.map((request) => formatDecimal(request.least, 6))),
      textArray(requests.map((request) => keyLimit(request.keyId))),
      textArray(requests.map((request) => storableJson(request.context))),
      textArray(requests.map((request) => storableText(request.serviceName, 200))),
      textArray(requests.map(({ requestId }) => (requestId === null ? null : storableText(requestId, 255)))),
    ],
  })
  return rows
}

/** The key's own row of ledger_limits: without a limit it only counts. */
function keyLimit(keyId: string | null): string | null {
  return keyId === null ? null : JSON.stringify([{ kind: 'key', id: keyId, window_start: '1970-01-01T00:00:00Z' }])
}
