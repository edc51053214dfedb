/** Takes holds, many at once. See sql/000016-ledger-sets.sql, ledger_hold_batch; one by itself is cheaper. */
import type pg from 'pg'
import { formatDecimal } from '../metering/money.ts'
import type { HoldRequest } from './ledger.ts'
import { arraysOf } from './sql-array.ts'
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

const MANY = {
  name: 'ledger_hold_batch',
  text: 'select * from ledger_hold_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) order by place',
}
const ONE = {
  name: 'ledger_hold_one',
  text: 'select * from ledger_hold_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)',
}

export async function sendHolds(
  client: pg.Client,
  owner: string,
  requests: readonly HoldRequest[],
): Promise<HoldAnswer[]> {
  const rows = requests.map(columnsOf)
  const [only] = rows
  if (rows.length === 1 && only !== undefined) {
    return (await client.query<HoldAnswer>({ ...ONE, values: [owner, ...only] })).rows
  }
  return (await client.query<HoldAnswer>({ ...MANY, values: [owner, ...arraysOf(rows, CONTEXT)] })).rows
}

/** Its place among the columns. */
const CONTEXT = 8

/** In the order of the function's parameters, after the owner. */
function columnsOf(request: HoldRequest): (string | null)[] {
  const { requestId } = request
  return [
    request.callId,
    request.organizationId,
    storableText(request.userId, 255),
    formatDecimal(request.input, 6),
    formatDecimal(request.inputBytes, 6),
    formatDecimal(request.output, 6),
    formatDecimal(request.least, 6),
    null,
    storableJson(request.context),
    storableText(request.serviceName, 200),
    requestId === null ? null : storableText(requestId, 255),
    request.keyId === null ? null : storableText(request.keyId, 255),
  ]
}
