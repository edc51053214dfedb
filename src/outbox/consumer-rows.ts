/** What the database knows of a consumer: how far it is, who works for it, which organizations wait, what was given up. */
import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { CHARGES, lineOf, type OutboxEvent, type Place } from './read-events.ts'

/** How long a process that has died keeps others from its work. */
export const LEASE_SECONDS = 30
/** Behind all of a transaction. */
const LAST_SOURCE = 9
/** What is kept of an error. */
const ERROR_MAX = 500

export interface Lease {
  consumer: string
  /** The process. */
  owner: string
}

/** An organization whose events wait behind one that was not delivered. */
export interface Blocked extends Place {
  line: string
  attempts: number
  /** It has failed for as long as may be. */
  isOver: boolean
}

export interface Letter {
  eventId: string
  source: number
  rowId: string
  attempts: number
  isOver: boolean
}

export interface Failure {
  event: OutboxEvent
  error: string
  attempts: number
  retrySeconds: number
}

type Query = Pick<Database, 'query'>
type Executor = Parameters<RawBuilder<unknown>['execute']>[0]

/** Another process works for the consumer now. */
export class LeaseLostError extends Error {}

/** What it wants: tables, and patterns of types as a sink has them. */
export interface Wish {
  sources: readonly number[]
  types: readonly string[]
}

/** A consumer that is new begins with what happens from now on. */
export async function registerConsumer({ query }: Query, name: string, wish: Wish): Promise<void> {
  const types = wish.types.map((pattern) => pattern.replaceAll('_', '\\_').replace('*', '%'))
  await sql`
    insert into tollgate.outbox_consumers as c (name, started_sequence, sequence, source, sources, types)
    select ${name}, h - 1, h - 1, ${LAST_SOURCE}, ${wish.sources}::integer[], ${types}::text[] from tollgate.outbox_horizon() h
    on conflict (name) do update set sources = excluded.sources, types = excluded.types
      where c.sources <> excluded.sources or c.types <> excluded.types`.execute(query)
}

/** Returns where the consumer is; null where another process works for it. */
export async function takeLease({ query }: Query, { consumer, owner }: Lease): Promise<Place | null> {
  const { rows } = await sql<Place>`
    update tollgate.outbox_consumers
    set lease_owner = ${owner}, lease_until = tollgate.tollgate_now() + make_interval(secs => ${LEASE_SECONDS})
    where name = ${consumer} and (lease_owner is null or lease_owner = ${owner} or lease_until < tollgate.tollgate_now())
    returning sequence, source, row_id as "rowId"`.execute(query)
  return rows[0] ?? null
}

/** So that another process need not wait until it runs out. */
export async function giveUpLease({ query }: Query, { consumer, owner }: Lease): Promise<void> {
  await sql`
    update tollgate.outbox_consumers set lease_owner = null, lease_until = null
    where name = ${consumer} and lease_owner = ${owner}`.execute(query)
}

export interface PageDone {
  /** The last event of the page. */
  until: Place
  sent: readonly OutboxEvent[]
  blocked: readonly (Failure & { before: Place })[]
}

/** Notes that a page is through. @throws {LeaseLostError} and changes nothing then. */
export async function finishPage({ query }: Query, lease: Lease, { until, sent, blocked }: PageDone): Promise<void> {
  const { consumer, owner } = lease
  await query.transaction().execute(async (transaction) => {
    const moved = await sql`
      update tollgate.outbox_consumers
      set sequence = ${until.sequence}, source = ${until.source}, row_id = ${until.rowId}
      where name = ${consumer} and lease_owner = ${owner} returning 1`.execute(transaction)
    if (moved.rows.length === 0) throw new LeaseLostError(consumer)
    await countSent(transaction, consumer, sent)
    for (const { event, error, attempts, retrySeconds, before } of blocked)
      await sql`
        insert into tollgate.outbox_blocked (consumer, org_id, sequence, source, row_id, event_id, attempts, next_attempt_at, last_error)
        values (${consumer}, ${lineOf(event)}, ${before.sequence}, ${before.source}, ${before.rowId}, ${event.id}, ${attempts},
          tollgate.tollgate_now() + make_interval(secs => ${retrySeconds}), ${error.slice(0, ERROR_MAX)})`.execute(
        transaction,
      )
  })
}

/** Those that are due, the one that waits longest first. */
export async function dueBlocked({ query }: Query, consumer: string, deadAfterHours: number): Promise<Blocked[]> {
  const { rows } = await sql<Blocked>`
    select org_id as line, sequence, source, row_id as "rowId", attempts,
      failing_since <= tollgate.tollgate_now() - make_interval(secs => ${deadAfterHours * 3_600}) as "isOver"
    from tollgate.outbox_blocked
    where consumer = ${consumer} and next_attempt_at <= tollgate.tollgate_now() order by next_attempt_at limit 50`.execute(
    query,
  )
  return rows
}

/** Whose events are not sent in their turn. */
export async function blockedLines({ query }: Query, consumer: string): Promise<ReadonlySet<string>> {
  const { rows } = await sql<{ line: string }>`
    select org_id as line from tollgate.outbox_blocked where consumer = ${consumer}`.execute(query)
  return new Set(rows.map(({ line }) => line))
}

/** It has come as far as `until`, and goes on. */
export async function moveBlocked(
  { query }: Query,
  lease: Lease,
  line: string,
  until: Place,
  sent: readonly OutboxEvent[],
): Promise<void> {
  const { consumer } = lease
  await query.transaction().execute(async (transaction) => {
    await requireLease(transaction, lease)
    await sql`
      update tollgate.outbox_blocked
      set sequence = ${until.sequence}, source = ${until.source}, row_id = ${until.rowId}, attempts = 0,
        failing_since = tollgate.tollgate_now(), next_attempt_at = tollgate.tollgate_now(), last_error = null
      where consumer = ${consumer} and org_id = ${line}`.execute(transaction)
    await countSent(transaction, consumer, sent)
  })
}

export async function failBlocked({ query }: Query, lease: Lease, line: string, failure: Failure): Promise<void> {
  const { event, error, attempts, retrySeconds } = failure
  await sql`
    update tollgate.outbox_blocked
    set attempts = ${attempts}, event_id = ${event.id}, last_error = ${error.slice(0, ERROR_MAX)},
      next_attempt_at = tollgate.tollgate_now() + make_interval(secs => ${retrySeconds})
    where consumer = ${lease.consumer} and org_id = ${line}`.execute(query)
}

/** It has caught up. */
export async function unblock({ query }: Query, lease: Lease, line: string): Promise<void> {
  await query.transaction().execute(async (transaction) => {
    await requireLease(transaction, lease)
    await sql`delete from tollgate.outbox_blocked where consumer = ${lease.consumer} and org_id = ${line}`.execute(
      transaction,
    )
  })
}

/** The event is given up, and what waits behind it goes on. */
export async function bury({ query }: Query, lease: Lease, line: string, failure: Failure): Promise<void> {
  const { event, error, attempts } = failure
  const { consumer } = lease
  await query.transaction().execute(async (transaction) => {
    await requireLease(transaction, lease)
    await sql`
      insert into tollgate.outbox_letters (consumer, event_id, org_id, source, row_id, type, state, attempts, last_error)
      values (${consumer}, ${event.id}, ${line}, ${event.source}, ${event.rowId}, ${event.type}, 'dead', ${attempts},
        ${error.slice(0, ERROR_MAX)})
      on conflict (consumer, event_id) do nothing`.execute(transaction)
    await sql`
      update tollgate.outbox_blocked
      set sequence = ${event.sequence}, source = ${event.source}, row_id = ${event.rowId}, attempts = 0,
        failing_since = tollgate.tollgate_now(), next_attempt_at = tollgate.tollgate_now(), last_error = null
      where consumer = ${consumer} and org_id = ${line}`.execute(transaction)
  })
}

export async function dueLetters({ query }: Query, consumer: string, deadAfterHours: number): Promise<Letter[]> {
  const { rows } = await sql<Letter>`
    select event_id as "eventId", source, row_id as "rowId", attempts,
      since <= tollgate.tollgate_now() - make_interval(secs => ${deadAfterHours * 3_600}) as "isOver"
    from tollgate.outbox_letters
    where consumer = ${consumer} and state = 'again' and next_attempt_at <= tollgate.tollgate_now()
    order by next_attempt_at, source, row_id limit 100`.execute(query)
  return rows
}

/** It was delivered. What was sent before is not counted again. @param event null where it is not kept any more. */
export async function finishLetter(
  { query }: Query,
  lease: Lease,
  eventId: string,
  event: OutboxEvent | null,
): Promise<void> {
  await query.transaction().execute(async (transaction) => {
    await requireLease(transaction, lease)
    const gone = await sql<{ was_sent: boolean }>`
      delete from tollgate.outbox_letters where consumer = ${lease.consumer} and event_id = ${eventId} returning was_sent`.execute(
      transaction,
    )
    if (event !== null && gone.rows[0]?.was_sent === false) await countSent(transaction, lease.consumer, [event])
  })
}

export async function failLetter({ query }: Query, lease: Lease, letter: Letter, failure: Failure): Promise<void> {
  const { error, attempts, retrySeconds } = failure
  await sql`
    update tollgate.outbox_letters
    set attempts = ${attempts}, last_error = ${error.slice(0, ERROR_MAX)}, state = ${letter.isOver ? 'dead' : 'again'},
      next_attempt_at = tollgate.tollgate_now() + make_interval(secs => ${retrySeconds})
    where consumer = ${lease.consumer} and event_id = ${letter.eventId}`.execute(query)
}

async function requireLease(executor: Executor, { consumer, owner }: Lease): Promise<void> {
  const { rows } = await sql`
    select 1 from tollgate.outbox_consumers where name = ${consumer} and lease_owner = ${owner} for update`.execute(
    executor,
  )
  if (rows.length === 0) throw new LeaseLostError(consumer)
}

/** Once for each event, whatever was sent twice on the way: in the transaction that moves the cursor behind it. */
async function countSent(executor: Executor, consumer: string, sent: readonly OutboxEvent[]): Promise<void> {
  if (sent.length === 0) return
  const parts = sent.map((event) => ({
    org_id: lineOf(event),
    day: event.at.toISOString().slice(0, 10),
    charges: event.source === CHARGES ? 1 : 0,
    credits: event.credits ?? '0',
  }))
  await sql`
    insert into tollgate.outbox_sent as s (consumer, org_id, day, events, charges, credits)
    select ${consumer}, p.org_id, p.day, count(*), sum(p.charges), sum(p.credits)
    from jsonb_to_recordset(${JSON.stringify(parts)}::jsonb) as p(org_id uuid, day date, charges integer, credits numeric)
    group by 2, 3
    on conflict (consumer, org_id, day) do update
      set events = s.events + excluded.events, charges = s.charges + excluded.charges, credits = s.credits + excluded.credits`.execute(
    executor,
  )
  await sql`
    update tollgate.outbox_consumers set sent = sent + ${sent.length}, sent_at = tollgate.tollgate_now()
    where name = ${consumer}`.execute(executor)
}
