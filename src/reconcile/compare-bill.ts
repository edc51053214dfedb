/** A bill beside the books, line by line, with the calls that explain what differs. Pure. Amounts are nano-dollars. */

import { parseDecimal } from '../metering/money.ts'
import { type Bill, comparable } from './bill.ts'
import type { BookedLine, Doubt, DoubtfulCalls } from './read-booked.ts'

/** `same`: within the tolerance. `explained`: within what the doubtful calls may cost more or less than is booked. */
export type Verdict = 'same' | 'explained' | 'unexplained'

export interface Cause {
  doubt: Doubt
  calls: number
  least: bigint
  most: bigint
  callIds: string[]
}

export interface ComparedLine {
  day: string
  model: string
  /** '' where keys are not compared. */
  key: string
  billed: bigint
  booked: bigint
  /** billed - booked */
  difference: bigint
  /** Null where the report does not count calls. */
  billedCalls: number | null
  bookedCalls: number
  verdict: Verdict
  causes: Cause[]
  /** What the provider billed by its keys, and what is booked by deployment. */
  billedByKey: Map<string, bigint>
  bookedByDeployment: Map<string, bigint>
}

export interface Comparison {
  bill: Bill
  lines: readonly BookedLine[]
  doubtful: readonly DoubtfulCalls[]
  /** Deployment to the provider's id of its key. Empty: keys are not compared. */
  keyOf: ReadonlyMap<string, string>
  tolerance: bigint
}

export function compareBill({ bill, lines, doubtful, keyOf, tolerance }: Comparison): ComparedLine[] {
  const found = new Map<string, ComparedLine>()
  const byKey = keyOf.size > 0
  const at = (day: string, model: string, key: string) => lineAt(found, day, comparable(model), byKey ? key : '')
  const ofBill = (key: string | null) => key ?? '-'
  const ofBooks = (deployment: string) => keyOf.get(deployment) ?? '-'
  for (const { day, model, key, nanoDollars } of bill.lines) {
    const line = at(day, model, ofBill(key))
    line.billed += nanoDollars
    add(line.billedByKey, ofBill(key), nanoDollars)
  }
  for (const { day, model, key, calls } of bill.use)
    if (calls !== null && calls !== 0) {
      const line = at(day, model, ofBill(key))
      line.billedCalls = (line.billedCalls ?? 0) + calls
    }
  for (const { day, model, deployment, calls, api_cost } of lines) {
    const line = at(day, model, ofBooks(deployment))
    const nanoDollars = parseDecimal(api_cost, 9)
    line.booked += nanoDollars
    line.bookedCalls += calls
    add(line.bookedByDeployment, deployment, nanoDollars)
  }
  for (const { day, model, deployment, ...cause } of doubtful)
    for (const line of model === null ? ofDay(found, day) : [at(day, model, ofBooks(deployment))]) addCause(line, cause)
  for (const line of found.values()) judge(line, tolerance)
  return [...found.values()]
    .filter((line) => line.billed !== 0n || line.booked !== 0n || line.bookedCalls > 0 || line.billedCalls !== null)
    .sort((a, b) => order(a.day, b.day) || order(a.model, b.model) || order(a.key, b.key))
}

function lineAt(found: Map<string, ComparedLine>, day: string, model: string, key: string): ComparedLine {
  const name = JSON.stringify([day, model, key])
  const line = found.get(name)
  if (line !== undefined) return line
  const made: ComparedLine = {
    ...{ day, model, key, billed: 0n, booked: 0n, difference: 0n, billedCalls: null, bookedCalls: 0 },
    ...{ verdict: 'same', causes: [], billedByKey: new Map(), bookedByDeployment: new Map() },
  }
  found.set(name, made)
  return made
}

function ofDay(found: ReadonlyMap<string, ComparedLine>, day: string): ComparedLine[] {
  return [...found.values()].filter((line) => line.day === day)
}

function addCause(
  line: ComparedLine,
  cause: Pick<DoubtfulCalls, 'doubt' | 'calls' | 'least' | 'most' | 'call_ids'>,
): void {
  const [least, most] = [
    parseDecimal(cause.least, 9, { roundUp: true }),
    parseDecimal(cause.most, 9, { roundUp: true }),
  ]
  const same = line.causes.find(({ doubt }) => doubt === cause.doubt)
  if (same === undefined) {
    line.causes.push({ doubt: cause.doubt, calls: cause.calls, least, most, callIds: [...cause.call_ids] })
    return
  }
  same.calls += cause.calls
  same.least += least
  same.most += most
  same.callIds.push(...cause.call_ids)
}

function judge(line: ComparedLine, tolerance: bigint): void {
  line.difference = line.billed - line.booked
  const sum = (part: 'least' | 'most') => line.causes.reduce((total, cause) => total + cause[part], 0n)
  const { difference } = line
  if (difference <= tolerance && difference >= -tolerance) line.verdict = 'same'
  else
    line.verdict =
      difference <= sum('most') + tolerance && difference >= sum('least') - tolerance ? 'explained' : 'unexplained'
}

function add(sums: Map<string, bigint>, name: string, amount: bigint): void {
  sums.set(name, (sums.get(name) ?? 0n) + amount)
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
