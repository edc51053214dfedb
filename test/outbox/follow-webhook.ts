/** Works for a webhook consumer in the test's own process, round by round. */
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { type AddressGuard, createAddressGuard } from '../../src/http/address-guard.ts'
import { createFollower, type Follower, type Round } from '../../src/outbox/follow.ts'
import { createPost } from '../../src/outbox/post.ts'
import type { Sink } from '../../src/outbox/sink.ts'
import { createWebhookSink } from '../../src/outbox/webhook-sink.ts'
import type { TestDatabase } from '../support/database.ts'
import type { Received, Receiver } from './receiver.ts'

export const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

export interface WebhookOptions {
  name: string
  types?: readonly string[]
  guard?: AddressGuard
  /** Milliseconds that only grow; they stand still unless stated. */
  now?: () => number
}

export function followWebhook(db: TestDatabase, receiver: Receiver, options: WebhookOptions): Follower {
  const { name, types = ['charge.*'], guard = createAddressGuard([receiver.place]), now = () => 0 } = options
  const settings = { url: `${receiver.url}/hook`, secrets: [Buffer.from(SECRET.slice(6), 'base64')], types }
  return followSink(
    db,
    name,
    createWebhookSink(settings, createPost(guard), () => new Date()),
    now,
  )
}

export function followSink(db: TestDatabase, name: string, sink: Sink, now = () => 0): Follower {
  const { database } = db
  const given = { deadAfterHours: 72, random: () => 0.5, now, count: () => {} }
  return createFollower({ database, name, sink, owner: randomUUID(), ...given })
}

/** Rounds until everything is read that was written before. Transactions of other databases of the server may still be in its way. */
export async function catchUp(db: TestDatabase, following: Follower): Promise<Round> {
  await passed(db)
  let round = await following.round()
  while (round === 'more') round = await following.round()
  return round
}

/** Resolves when everything that was written before can be read. */
export async function passed({ pool }: TestDatabase): Promise<void> {
  const { rows } = await pool.query<{ now: string }>(
    'select sequence_base + pg_current_xact_id()::text::bigint as now from tollgate.ledger_identity',
  )
  const isOver = 'select tollgate.outbox_horizon() > $1::bigint as over'
  while (!(await pool.query(isOver, [rows[0]!.now])).rows[0].over) await pause(5)
}

/** What the charge was for. */
export function told(one: Received): string {
  return JSON.parse(one.body).data.service_type
}
