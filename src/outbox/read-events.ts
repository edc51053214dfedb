/** Reads what happened, in an order that is safe to follow: sql/functions/outbox.sql says why. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

/** Where a follower is: the event it has seen last. */
export interface Place {
  /** A bigint as a decimal text. */
  sequence: string
  source: number
  rowId: string
}

/** Tables that tell: ledger_journal, credit_usage_attribution, outbox_events. */
export const MOVEMENTS = 1
export const CHARGES = 2
export const EVENTS = 3
export const NO_ORGANIZATION = '00000000-0000-0000-0000-000000000000'

export interface OutboxEvent extends Place {
  /** The same whenever the event is told. */
  id: string
  /** `charge.created`. */
  type: string
  organizationId: string | null
  userId: string | null
  at: Date
  /** Decimal credits of a charge or its correction; null of everything else. */
  credits: string | null
  /** Amounts are decimal strings. */
  data: Readonly<Record<string, unknown>>
}

export interface Wanted {
  /** Events of other sources are not read. */
  sources: readonly number[]
  /** Null: of all. */
  organizationId?: string | null
  most: number
}

interface Row {
  sequence: string
  source: number
  row_id: string
  event_id: string
  type: string
  org_id: string | null
  user_id: string | null
  created_at: Date
  credits: string | null
  data: Record<string, unknown>
}

type Query = Pick<Database, 'query'>

/** Returns the next events behind a place, all of them final: nothing appears among them later. */
export async function readEvents({ query }: Query, after: Place, wanted: Wanted): Promise<OutboxEvent[]> {
  const { rows } = await sql<Row>`
    select * from tollgate.outbox_read(${after.sequence}, ${after.source}, ${after.rowId}, ${wanted.sources}::integer[],
      ${wanted.organizationId ?? null}, ${wanted.most})`.execute(query)
  return rows.map(eventOf)
}

/** Returns null where it is not kept any more. */
export async function findEvent({ query }: Query, source: number, rowId: string): Promise<OutboxEvent | null> {
  const { rows } = await sql<Row>`select * from tollgate.outbox_find(${source}, ${rowId})`.execute(query)
  return rows[0] === undefined ? null : eventOf(rows[0])
}

/** Whether an event comes after a place. */
export function isAfter(event: Place, place: Place): boolean {
  const [a, b] = [BigInt(event.sequence), BigInt(place.sequence)]
  if (a !== b) return a > b
  if (event.source !== place.source) return event.source > place.source
  return event.source === MOVEMENTS ? BigInt(event.rowId) > BigInt(place.rowId) : event.rowId > place.rowId
}

/** Events of no organization are kept in order among themselves. */
export function lineOf(event: Pick<OutboxEvent, 'organizationId'>): string {
  return event.organizationId ?? NO_ORGANIZATION
}

function eventOf(row: Row): OutboxEvent {
  return {
    sequence: row.sequence,
    source: row.source,
    rowId: row.row_id,
    id: row.event_id,
    type: row.type,
    organizationId: row.org_id,
    userId: row.user_id,
    at: row.created_at,
    credits: row.credits,
    data: row.data,
  }
}
