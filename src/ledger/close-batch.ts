/** Ends calls, settled with their charge or released with none, many at once. See sql/functions/close.sql; a call by itself is cheaper. */
import type pg from 'pg'
import { formatDecimal } from '../metering/money.ts'
import { type JsonRow, jsonArray, jsonObject, jsonText } from './json-rows.ts'
import type { Closing, Settlement } from './ledger.ts'
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
  text: 'select * from tollgate.ledger_close_batch($1) order by ordinal',
}
const ONE = {
  name: 'ledger_close_one',
  text: 'select * from tollgate.ledger_close_one(jsonb_populate_record(null::tollgate.close_request, $1))',
}

export async function sendCloses(client: pg.Client, closes: readonly Close[]): Promise<CloseAnswer[]> {
  const rows = closes.map(rowOf)
  const [only] = rows
  if (rows.length === 1 && only !== undefined) {
    return (await client.query<CloseAnswer>({ ...ONE, values: [jsonObject(only)] })).rows
  }
  return (await client.query<CloseAnswer>({ ...MANY, values: [jsonArray(rows)] })).rows
}

/** As tollgate.close_request. */
function rowOf({ state, closing }: Close): JsonRow {
  const { requestId } = closing
  const { charge, apiCost, markup, provenance } =
    state === 'settled' ? closing : { charge: 0n, apiCost: 0n, markup: 0n, provenance: null }
  return {
    call_id: jsonText(closing.callId),
    state: jsonText(state),
    org_id: jsonText(closing.organizationId),
    user_id: jsonText(storableText(closing.userId, 255)),
    charge: formatDecimal(charge, 6),
    service_type: jsonText(storableText(closing.serviceType, 100)),
    service_name: jsonText(storableText(closing.serviceName, 200)),
    api_cost: formatDecimal(apiCost, 9),
    markup: formatDecimal(markup, 9),
    request_id: jsonText(requestId === null ? null : storableText(requestId, 255)),
    source: '"proxy"',
    provenance: jsonText(provenance),
    outcome: jsonText(closing.outcome),
    details: storableJson(closing.details),
  }
}
