/** What an operator does with consumers: `tollgate outbox`. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

type Query = Pick<Database, 'query'>

export interface DeadLetter {
  consumer: string
  event_id: string
  type: string
  org_id: string
  attempts: number
  last_error: string | null
}

/** The newest first; a hundred at most. */
export async function listDeadLetters({ query }: Query): Promise<DeadLetter[]> {
  const { rows } = await sql<DeadLetter>`
    select consumer, event_id, type, org_id, attempts, last_error from tollgate.outbox_letters
    where state = 'dead' order by since desc, event_id limit 100`.execute(query)
  return rows
}

/** What waits for its next attempt is tried at once. Returns how many organizations and letters. */
export async function retryNow({ query }: Query, consumer: string): Promise<number> {
  const { rows } = await sql<{ tried: number }>`
    with blocked as (
        update tollgate.outbox_blocked set next_attempt_at = tollgate.tollgate_now() where consumer = ${consumer} returning 1),
      letters as (
        update tollgate.outbox_letters set next_attempt_at = tollgate.tollgate_now()
          where consumer = ${consumer} and state = 'again' returning 1)
    select (select count(*) from blocked)::integer + (select count(*) from letters)::integer as tried`.execute(query)
  return rows[0]!.tried
}

/** Dead letters are sent again. @param event null: all. Returns how many. */
export async function replayDead({ query }: Query, consumer: string, event: string | null): Promise<number> {
  const { rows } = await sql`
    update tollgate.outbox_letters
    set state = 'again', attempts = 0, since = tollgate.tollgate_now(), next_attempt_at = tollgate.tollgate_now()
    where consumer = ${consumer} and state = 'dead' and (${event}::text is null or event_id = ${event}) returning 1`.execute(
    query,
  )
  return rows.length
}

export interface Days {
  /** Both in, in UTC: `2026-01-31`. */
  from: string
  to: string
}

/** Everything of these days that was passed already is sent again; its ids are the same. @param organizationId null: of all. */
export async function replayDays(
  { query }: Query,
  consumer: string,
  { from, to }: Days,
  organizationId: string | null,
): Promise<number> {
  const { rows } = await sql<{ count: string }>`
    select tollgate.outbox_send_again(${consumer}, ${`${from}T00:00:00Z`}, ${`${to}T00:00:00Z`}::timestamptz + interval '24 hours',
      ${organizationId}) as count`.execute(query)
  return Number(rows[0]!.count)
}

/** Credits are decimal. */
export interface Difference {
  consumer: string
  org_id: string
  day: string
  booked: string
  booked_credits: string
  sent: string
  sent_credits: string
  /** Of those that were booked: behind one that was not taken, or dead letters. */
  waiting: string
  waiting_credits: string
  /** What is missing is what waits. */
  explained: boolean
}

/** Compares the charges of each organization and day that a consumer has passed with what it took. */
export async function verifyConsumer({ query }: Query, consumer: string): Promise<Difference[]> {
  const { rows } = await sql<Difference>`
    select ${consumer} as consumer, org_id, day::text, booked, trim_scale(booked_credits)::text as booked_credits, sent,
      trim_scale(sent_credits)::text as sent_credits, waiting, trim_scale(waiting_credits)::text as waiting_credits,
      booked = sent + waiting and booked_credits = sent_credits + waiting_credits as explained
    from tollgate.outbox_verify(${consumer})`.execute(query)
  return rows
}
