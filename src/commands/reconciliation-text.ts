/** How a bill beside the books is printed: a table for people, JSON for programs. Amounts are decimal dollars. */
import { trimDecimal } from '../metering/money.ts'
import type { BilledUse, Biller, Span } from '../reconcile/bill.ts'
import type { Cause, ComparedLine } from '../reconcile/compare-bill.ts'
import { DOUBTS } from '../reconcile/read-booked.ts'
import { printRows } from './print-rows.ts'

const CALLS_SHOWN = 5

const dollars = (amount: bigint) => trimDecimal(amount, 9)

export function reconciliationJson(
  biller: Biller,
  span: Span,
  lines: readonly ComparedLine[],
  use: readonly BilledUse[],
) {
  return {
    provider: biller,
    ...span,
    ...totals(lines),
    lines: lines.map((line) => ({
      ...{ day: line.day, model: line.model, key: line.key === '' ? null : line.key, verdict: line.verdict },
      ...{ billed: dollars(line.billed), booked: dollars(line.booked), difference: dollars(line.difference) },
      ...{ billed_calls: line.billedCalls, booked_calls: line.bookedCalls },
      billed_by_key: named(line.billedByKey),
      booked_by_deployment: named(line.bookedByDeployment),
      causes: line.causes.map(({ doubt, calls, least, most, callIds }) => ({
        ...{ cause: doubt, calls, least: dollars(least), most: dollars(most), call_ids: callIds },
      })),
    })),
    use: use.map(({ inputTokens: input_tokens, outputTokens: output_tokens, ...one }) => ({
      ...one,
      input_tokens,
      output_tokens,
    })),
  }
}

export function reconciliationText(biller: Biller, { from, to }: Span, lines: readonly ComparedLine[]): string {
  const withKeys = lines.some(({ key }) => key !== '')
  const table = lines.map((line) => ({
    ...{ day: line.day, model: line.model },
    ...(withKeys ? { key: line.key } : {}),
    ...{ billed: dollars(line.billed), booked: dollars(line.booked), difference: dollars(line.difference) },
    ...{ billed_calls: line.billedCalls, booked_calls: line.bookedCalls, verdict: line.verdict },
  }))
  const { billed, booked, difference, unexplained } = totals(lines)
  const sum = `${biller}, ${from} to ${to} (UTC): billed $${billed}, booked $${booked}, difference $${difference}; ${unexplained} of ${lines.length} lines unexplained.`
  const why = lines.filter(({ verdict }) => verdict !== 'same').flatMap(causesOf)
  return [
    `${sum}\n\n${printRows(table, 'Nothing is billed and nothing is booked.')}`,
    ...(why.length === 0 ? [] : ['\nCalls that may explain a difference\n', ...why]),
  ].join('')
}

function causesOf(line: ComparedLine): string[] {
  const where = `${line.day} ${line.model}${line.key === '' ? '' : ` ${line.key}`}`
  if (line.causes.length === 0)
    return [`  ${where}: none. Look for use of the key beside Tollgate, and at the price of the model.\n`]
  return line.causes.map((cause) => `  ${where}: ${causeText(cause)}\n`)
}

function causeText({ doubt, calls, least, most, callIds }: Cause): string {
  const more = calls > CALLS_SHOWN ? ', ...' : ''
  return `${doubt} (${DOUBTS[doubt]}): ${calls} ${calls === 1 ? 'call' : 'calls'}, from $${dollars(least)} to $${dollars(most)}\n      ${callIds.slice(0, CALLS_SHOWN).join(', ')}${more}`
}

function totals(lines: readonly ComparedLine[]) {
  const sum = (part: 'billed' | 'booked' | 'difference') =>
    dollars(lines.reduce((total, line) => total + line[part], 0n))
  return {
    ...{ billed: sum('billed'), booked: sum('booked'), difference: sum('difference') },
    unexplained: lines.filter(({ verdict }) => verdict === 'unexplained').length,
  }
}

function named(sums: ReadonlyMap<string, bigint>): Record<string, string> {
  return Object.fromEntries([...sums].map(([name, amount]) => [name === '' ? '-' : name, dollars(amount)]))
}
