/** Takes holds, many at once: sql/functions/hold.sql. A call by itself goes to ledger_hold_one, which is cheaper. */
import type pg from 'pg'
import { formatDecimal } from '../metering/money.ts'
import { type JsonRow, jsonArray, jsonObject, jsonText } from './json-rows.ts'
import type { HoldRequest, Limit } from './ledger.ts'
import { storableJson, storableText } from './storable.ts'

/** A limit as it stands with a call, or as it refused one. Amounts are credits, or calls. */
export interface LimitedBy {
  kind: string
  id: string
  unit: 'credits' | 'calls'
  amount: number
  left: number
  /** When its window began. */
  window_start: string
  /** When the next window begins; null where there is none. */
  window_end: string | null
  /** Only running calls stand in the way. */
  in_flight: boolean
}

/** For how long a call that running calls stand in the way of may stand in line, and whether it does already; or that it goes. */
export type InLine = { forMs: number; stands: boolean } | 'leaves'

/** A call, and what becomes of it where running calls hold what it needs; left out: it is refused. */
export interface AskedHold extends HoldRequest {
  line?: InLine
  /** Its slice of a shared limit was filled as far as can be; see slices.ts. */
  sliced?: boolean
}

/** Amounts are decimal credits. */
export interface HoldAnswer {
  outcome: string
  held: string | null
  input: string | null
  required: string | null
  available: string | null
  remaining: string | null
  /** What refused it; of a call that is held, the call quota that has least left. */
  limited_by: LimitedBy | null
  key_used: string | null
}

const MANY = {
  name: 'ledger_hold_batch',
  text: 'select * from tollgate.ledger_hold_batch($1, $2) order by ordinal',
}
const ONE = {
  name: 'ledger_hold_one',
  text: 'select * from tollgate.ledger_hold_one($1, jsonb_populate_record(null::tollgate.hold_request, $2))',
}

export async function sendHolds(
  client: pg.Client,
  owner: string,
  requests: readonly AskedHold[],
): Promise<HoldAnswer[]> {
  const rows = requests.map(rowOf)
  const [only] = rows
  if (rows.length === 1 && only !== undefined) {
    return (await client.query<HoldAnswer>({ ...ONE, values: [owner, jsonObject(only)] })).rows
  }
  return (await client.query<HoldAnswer>({ ...MANY, values: [owner, jsonArray(rows)] })).rows
}

/** As tollgate.hold_request. */
function rowOf(request: AskedHold): JsonRow {
  const { requestId, limits, line, sliced } = request
  return {
    call_id: jsonText(request.callId),
    org_id: jsonText(request.organizationId),
    user_id: jsonText(storableText(request.userId, 255)),
    input: formatDecimal(request.input, 6),
    input_bytes: formatDecimal(request.inputBytes, 6),
    output: formatDecimal(request.output, 6),
    min_output: formatDecimal(request.least, 6),
    step: formatDecimal(request.step, 6),
    uncertain: formatDecimal(request.uncertain, 6),
    limits: limits.length === 0 ? null : jsonArray(limits.map(limitOf)),
    context: storableJson(request.context),
    service_type: jsonText(storableText(request.serviceType, 100)),
    service_name: jsonText(storableText(request.serviceName, 200)),
    request_id: jsonText(requestId === null ? null : storableText(requestId, 255)),
    ...(line === undefined ? {} : placeOf(line)),
    ...(sliced === true ? { sliced: 'true' } : {}),
  }
}

function placeOf(line: InLine): JsonRow {
  if (line === 'leaves') return { limits: null, leaves: 'true' }
  return { wait_ms: String(line.forMs), in_line: String(line.stands) }
}

/** As tollgate.limit_request. */
function limitOf({ kind, id, window, unit, amount }: Limit): JsonRow {
  return {
    kind: jsonText(storableText(kind, 40)),
    id: jsonText(storableText(id, 255)),
    window: jsonText(window),
    unit: jsonText(unit),
    limit_amount: amount === null ? null : formatDecimal(amount, 6),
  }
}
