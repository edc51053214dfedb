/**
 * A cost report that was downloaded as CSV. Columns are found by the names that exports of the three providers have, so that a column
 * which is added or moved changes nothing; a file without a day or an amount is refused.
 */
import { type Bill, type Biller, modelOfItem, nanoDollars, OTHER, type Span } from './bill.ts'
import { parseCsv } from './parse-csv.ts'
import { ReconcileError } from './reconcile-error.ts'

const DAY = ['usage_date_utc', 'date', 'day', 'start_time_iso', 'created_at', 'start_time', 'usage_date']
const AMOUNT = ['amount_value', 'cost_usd', 'cost_total', 'usage', 'cost', 'amount']
const MODEL = ['model', 'model_permaslug', 'line_item']
const KEY = ['api_key_id', 'api_key', 'api_key_name', 'key']
const CALLS = ['num_model_requests', 'requests']

/** @throws {ReconcileError} */
export function readBillFile(text: string, biller: Biller, { from, to }: Span): Bill {
  const rows = parseCsv(text)
  const [first] = rows
  if (first === undefined) throw new ReconcileError('The file has no rows: nothing was billed, or it is no CSV.')
  const column = (names: readonly string[]) => names.find((name) => name in first) ?? null
  const [day, amount, model, key, calls] = [column(DAY), column(AMOUNT), column(MODEL), column(KEY), column(CALLS)]
  if (day === null || amount === null)
    throw new ReconcileError(
      `The file has no column of the ${day === null ? `day (${DAY.join(', ')})` : `amount in dollars (${AMOUNT.join(', ')})`}. It has: ${Object.keys(first).join(', ')}.`,
    )
  const bill: Bill = { lines: [], use: [] }
  for (const [index, row] of rows.entries()) {
    const at = dayOf(row[day]!, index)
    if (at === null || at < from || at > to || row[amount] === '') continue
    const line = {
      day: at,
      model: model === null ? OTHER : modelOfItem(row[model] || null),
      key: (key === null ? '' : row[key]) || null,
    }
    bill.lines.push({ ...line, nanoDollars: amountOf(row[amount]!, index) })
    // OpenRouter's export has a row for each generation.
    const count = calls !== null ? Number(row[calls]) : biller === 'openrouter' ? 1 : Number.NaN
    if (Number.isSafeInteger(count)) bill.use.push({ ...line, calls: count, inputTokens: 0, outputTokens: 0 })
  }
  return bill
}

function dayOf(value: string, index: number): string | null {
  if (value === '') return null
  const at = /^\d{9,11}$/.test(value) ? Number(value) * 1_000 : Date.parse(zoned(value))
  if (Number.isNaN(at)) throw new ReconcileError(`Row ${index + 2} of the file has no day: '${value.slice(0, 40)}'.`)
  return new Date(at).toISOString().slice(0, 10)
}

/** A time without a zone is of UTC. */
function zoned(value: string): string {
  const iso = value.replace(/^(\d{4}-\d\d-\d\d) (?=\d)/, '$1T')
  return /T[\d:.]+$/.test(iso) ? `${iso}Z` : iso
}

function amountOf(value: string, index: number): bigint {
  try {
    return nanoDollars(value.replace(/^\$/, ''))
  } catch {
    throw new ReconcileError(`Row ${index + 2} of the file has no amount in dollars: '${value.slice(0, 40)}'.`)
  }
}
