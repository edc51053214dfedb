/** One call as people look at it: what happened when, and how its price came about. Amounts are decimal strings, times ISO 8601. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'
import type { Caller } from '../identity/caller.ts'
import { creditsToMicro, trimDecimal } from '../metering/money.ts'
import { findCall, noCall, type SettledCall } from './find-call.ts'
import { type CallFilter, type CallRow, findHeld, listEnded, type Name } from './list-calls.ts'
import { type PriceLine, priceLines } from './price-lines.ts'

export interface CallEvent {
  at: string
  what: string
  detail: string | null
}

export interface CallAttempt {
  provider: string
  deployment: string
  status: string
  error: string | null
  ms: number | null
}

export interface CallInFull extends CallRow {
  session_id: string | null
  run: Name | null
  /** Dollars, as are api_cost and markup. */
  cost: string | null
  api_cost: string | null
  markup: string | null
  markup_percent: number | null
  power_level: string | null
  refunded_credits: string | null
  /** Where the price is from: the data set, config.yaml. */
  price_source: string | null
  stream: boolean | null
  lines: PriceLine[]
  timeline: CallEvent[]
  /** The last one, which is billed: the row of a call has the numbers of the others only. */
  attempts: CallAttempt[]
}

/** @throws {TollgateError} 404 for a call that does not exist or is someone else's. */
export async function callInFull(database: Database, caller: Caller, callId: string): Promise<CallInFull> {
  const report = await findCall(database, caller, callId)
  const [hold, held, ended, moved] = await Promise.all([
    findHold(database, callId),
    findHeld(database, callId),
    findEnded(database, { organizationId: report.organization_id, id: callId }),
    findMoved(database, callId),
  ])
  const row = ended ?? held
  if (row === null) throw noCall()
  const settled = 'details' in report ? report : null
  return {
    ...row,
    ...priceOf(settled, hold?.rates),
    timeline: timelineOf(row, settled, hold, moved),
    attempts: settled === null ? [] : attemptsOf(settled),
  }
}

async function findEnded(database: Database, filter: CallFilter): Promise<CallRow | null> {
  const [found] = await listEnded(database, filter, { limit: 1, after: null })
  if (found === undefined) return null
  const { place: _, ...row } = found
  return row
}

type PriceMembers = Omit<CallInFull, keyof CallRow | 'timeline' | 'attempts'>

function priceOf(settled: SettledCall | null, rates: unknown): PriceMembers {
  const details = settled?.details ?? {}
  const percent = typeof details.markup_percent === 'number' ? details.markup_percent : null
  const run = textOf(details.run)
  return {
    session_id: settled?.session_id ?? null,
    run: run === null ? null : { id: run, name: null },
    cost: settled?.cost ?? null,
    api_cost: settled?.api_cost ?? null,
    markup: settled?.markup ?? null,
    markup_percent: percent,
    power_level: textOf(details.power_level),
    refunded_credits: settled?.refunded_credits ?? null,
    price_source: textOf(details.price),
    stream: typeof details.stream === 'boolean' ? details.stream : null,
    lines:
      settled === null
        ? []
        : priceLines({
            usage: settled.usage,
            rates,
            apiCost: settled.api_cost,
            markup: settled.markup,
            markupPercent: percent,
            charged: settled.credits,
          }),
  }
}

function attemptsOf({ details, outcome }: SettledCall): CallAttempt[] {
  const [provider, deployment] = [textOf(details.provider), textOf(details.deployment)]
  if (provider === null || deployment === null) return []
  const status = typeof details.provider_status === 'number' ? ` ${details.provider_status}` : ''
  const error = textOf(details.error)
  return [
    {
      provider,
      deployment,
      status: outcome ?? 'settled',
      error: error === null ? null : `${error}${status}`,
      ms: countOf(details.upstream_ms),
    },
  ]
}

/**
 * In the order in which it happens. A call's row tells some instants as times since its start, by another clock than the hold's, so one may
 * come out a moment before the one it follows: it is shown with that one's.
 */
function timelineOf(row: CallRow, settled: SettledCall | null, hold: Hold | null, moved: CallEvent[]): CallEvent[] {
  const { first_byte_ms: firstByte, retries, fallbacks } = settled?.details ?? {}
  const byte = countOf(firstByte)
  const tried = (countOf(retries) ?? 0) + (countOf(fallbacks) ?? 0)
  const start = hold !== null && isBefore(hold.at, row.started_at) ? hold.at : row.started_at
  const events: CallEvent[] = [{ at: start, what: 'Request', detail: row.endpoint.replaceAll('_', ' ') }]
  if (hold !== null)
    events.push({
      at: hold.at,
      what: 'Hold',
      detail: `${trimmed(settled?.details.held ?? hold.held)} credits set aside`,
    })
  if (byte !== null) events.push({ at: later(start, byte), what: 'First byte', detail: null })
  if (row.settled_at !== null) events.push({ at: row.settled_at, what: 'Settled', detail: endOf(row, tried) })
  const inOrder = [...events, ...moved.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at))]
  let last = start
  return inOrder.map((event) => {
    if (isBefore(last, event.at)) last = event.at
    return { ...event, at: last }
  })
}

function endOf({ outcome }: CallRow, tried: number): string {
  const before = tried === 0 ? '' : `, after ${tried} other ${tried === 1 ? 'attempt' : 'attempts'}`
  return `${outcome?.replaceAll('_', ' ') ?? 'ended'}${before}`
}

function isBefore(a: string, b: string): boolean {
  return Date.parse(a) < Date.parse(b)
}

interface Hold {
  at: string
  held: string
  rates: unknown
}

async function findHold({ query }: Database, callId: string): Promise<Hold | null> {
  const { rows } = await sql<Hold>`
    select ${isoTime('h.created_at')} as at, trim_scale(h.held_credits)::text as held, h.context -> 'rates' as rates
    from tollgate.ledger_holds h where h.call_id = ${callId}`.execute(query)
  return rows[0] ?? null
}

/** What happened to the charge afterwards: corrections and refunds. */
async function findMoved({ query }: Database, callId: string): Promise<CallEvent[]> {
  const { rows } = await sql<CallEvent>`
    select ${isoTime('c.created_at')} as at, 'Corrected' as what,
      trim_scale(c.credits_used)::text || ' credits: ' || c.cause as detail
    from credit_usage_attribution c where c.call_id = ${callId} and c.entry = 'correction'
    union all
    select ${isoTime('j.created_at')}, 'Refunded', trim_scale(j.pool_total)::text || ' credits'
    from tollgate.ledger_journal j where j.call_id = ${callId} and j.kind = 'refund'`.execute(query)
  return rows
}

function later(at: string, ms: number): string {
  return new Date(Date.parse(at) + ms).toISOString()
}

function trimmed(credits: unknown): string {
  return typeof credits === 'string' ? trimDecimal(creditsToMicro(credits), 6) : '0'
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function countOf(value: unknown): number | null {
  return typeof value === 'number' && value >= 0 ? value : null
}
