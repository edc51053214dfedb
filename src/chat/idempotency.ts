/**
 * A caller's Idempotency-Key, bound to the caller and to what was asked for: the bytes sent and the power level. While the first call
 * runs, another with the same key is refused. Whatever was charged answers its key for 24 hours: a JSON response and an error that
 * cost something are repeated, a stream names its call. A key that a crash left behind is closed by what its call left on the books.
 * It is never a billing key. Fails closed: where the key can't be looked up, the call is not made.
 */
import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'
import type { Log } from '../observe/log.ts'
import type { Exchange } from './exchange.ts'

export interface StoredAnswer {
  status: number
  headers: Record<string, string>
  body: Buffer
}

/** How a call left its key: with a response to repeat, as a stream, or free again because nothing was charged. */
export type KeyState = StoredAnswer | 'streamed' | 'released'

/**
 * Closing a claim never throws, since the call it belongs to is over; a key that could not be closed finds what its call left on the
 * books, and the operator is told.
 */
export interface Claim {
  /** The answer given before, to be repeated; null: this call is the first. */
  replay: StoredAnswer | null
  /** Once, when the call is over. */
  close(state: KeyState): Promise<void>
}

interface ClaimRow {
  outcome: 'claimed' | 'other_body' | 'running' | 'answered' | 'streamed'
  call_id: string
  status: number | null
  headers: Record<string, string> | null
  body: Buffer | null
}

const KEY_MAX = 255

/** @param variant what is asked for besides the body; empty for nothing. @throws {TollgateError} 400 for a malformed key, 409 when it is taken, 503 when it can't be looked up. */
export async function claimKey(
  { database, log }: { database: Database; log: Log },
  caller: Caller,
  key: string,
  { body, variant }: { body: Buffer; variant: string },
  callId: string,
): Promise<Claim> {
  if (!/^[\x21-\x7e]+$/.test(key) || key.length > KEY_MAX) {
    throw new TollgateError(
      400,
      'invalid_idempotency_key',
      `Idempotency-Key must be 1 to ${KEY_MAX} printable characters without spaces.`,
    )
  }
  const hash = createHash('sha256').update(body)
  if (variant !== '') hash.update(`\0${variant}`)
  const row = await claim(database, caller, key, hash.digest(), callId)
  if (row.outcome === 'other_body')
    throw conflict(
      'idempotency_key_reused',
      'This Idempotency-Key was used for a different request. Use a new key for a new request.',
      row.call_id,
    )
  if (row.outcome === 'running')
    throw conflict(
      'idempotency_key_in_use',
      'A call with this Idempotency-Key is still running. Try again when it has finished.',
      row.call_id,
    )
  if (row.outcome === 'streamed') {
    throw conflict(
      'idempotency_key_streamed',
      `The call with this Idempotency-Key is over, and its response is not kept. GET /v1/calls/${row.call_id} shows what it cost.`,
      row.call_id,
    )
  }
  const mine = () => database.query.updateTable('tollgate.idempotency_keys').where('call_id', '=', callId)
  return {
    replay:
      row.outcome === 'answered'
        ? { status: row.status ?? 200, headers: row.headers ?? {}, body: row.body ?? Buffer.alloc(0) }
        : null,
    close(state) {
      if (state === 'streamed') return run(mine().set({ state }))
      if (state === 'released')
        return run(database.query.deleteFrom('tollgate.idempotency_keys').where('call_id', '=', callId))
      const { status, headers, body: stored } = state
      return run(mine().set({ state: 'answered', status, headers: JSON.stringify(headers), body: stored }))
    },
  }

  async function run(statement: { execute(): Promise<unknown> }): Promise<void> {
    try {
      await statement.execute()
    } catch (err) {
      log.error({ err, call_id: callId }, 'an idempotency key could not be closed')
    }
  }
}

async function claim(database: Database, caller: Caller, key: string, hash: Buffer, callId: string): Promise<ClaimRow> {
  try {
    await closeLeftKey(database, caller, key)
    const { rows } =
      await sql<ClaimRow>`select * from tollgate.claim_idempotency_key(${caller.organizationId}, ${caller.userId}, ${key}, ${hash}, ${callId})`.execute(
        database.query,
      )
    const row = rows[0]
    if (row === undefined) throw new Error('claim_idempotency_key answered no row')
    return row
  } catch (cause) {
    throw new TollgateError(
      503,
      'database_unavailable',
      'The Idempotency-Key could not be looked up. Try again shortly.',
      { headers: { 'Retry-After': '2' }, cause },
    )
  }
}

/**
 * A key that is still `running` a minute after its call is over belonged to a process that died (a live one closes it at once): what
 * the call left on the books closes it.
 * A charge keeps it for good, as a stream does, since nobody has the response; a call that cost nothing frees it.
 */
async function closeLeftKey(database: Database, { organizationId, userId }: Caller, key: string): Promise<void> {
  const left = database.query
    .selectFrom('tollgate.idempotency_keys as k')
    .innerJoin('tollgate.ledger_holds as h', 'h.call_id', 'k.call_id')
    .leftJoin('credit_usage_attribution as c', 'c.call_id', 'k.call_id')
    .where('k.org_id', '=', organizationId)
    .where('k.user_id', '=', userId)
    .where('k.key', '=', key)
    .where('k.state', '=', 'running')
    .where('h.closed_at', '<', sql<Date>`tollgate.tollgate_now() - interval '1 minute'`)
    .select((eb) => ['k.call_id', eb.fn.sum<string | null>('c.credits_used').as('charged')])
    .groupBy('k.call_id')
  const row = await left.executeTakeFirst()
  if (row === undefined) return
  const { query } = database
  const isCharged = Number(row.charged ?? 0) > 0
  await (isCharged
    ? query
        .updateTable('tollgate.idempotency_keys')
        .set({ state: 'streamed' })
        .where('call_id', '=', row.call_id)
        .where('state', '=', 'running')
        .execute()
    : query
        .deleteFrom('tollgate.idempotency_keys')
        .where('call_id', '=', row.call_id)
        .where('state', '=', 'running')
        .execute())
}

function conflict(code: string, message: string, callId: string): TollgateError {
  return new TollgateError(409, code, message, {
    headers: { 'x-should-retry': code === 'idempotency_key_in_use' ? 'true' : 'false' },
    fields: { call_id: callId },
  })
}

/** Repeats a stored response: same status, body and cost headers, marked as repeated; nothing is charged again. */
export function replay(exchange: Exchange, answer: StoredAnswer): void {
  exchange.outgoing.writeHead(answer.status, {
    ...answer.headers,
    'X-Request-ID': exchange.requestId,
    'Idempotent-Replayed': 'true',
    'content-length': answer.body.length,
  })
  exchange.outgoing.end(answer.body)
}

/** Forgets keys older than a day. */
export async function forgetOldKeys(database: Database): Promise<void> {
  await sql`delete from tollgate.idempotency_keys where created_at < tollgate.tollgate_now() - interval '24 hours'`.execute(
    database.query,
  )
}
