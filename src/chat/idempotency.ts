/**
 * A caller's Idempotency-Key, bound to the caller and to the bytes sent. While the first call runs, another with the same key
 * is refused; when it has finished, a JSON answer is repeated for 24 hours and a stream names its call. It is never a billing
 * key. Fails closed: where the key can't be looked up, the call is not made.
 */
import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'
import type { Log } from '../observe/log.ts'

export interface StoredAnswer {
  status: number
  headers: Record<string, string>
  body: Buffer
}

/**
 * Closing a claim never throws, since the call it belongs to is over; a key that could not be closed counts as running for
 * an hour, and the operator is told.
 */
export interface Claim {
  /** The answer given before, to be repeated; null: this call is the first. */
  replay: StoredAnswer | null
  /** The call ended with this JSON answer. */
  answered(answer: StoredAnswer): Promise<void>
  /** The call ended as a stream. */
  streamed(): Promise<void>
  /** The call failed and cost nothing: the key is free again. */
  dropped(): Promise<void>
}

interface ClaimRow {
  outcome: 'claimed' | 'other_body' | 'running' | 'answered' | 'streamed'
  call_id: string
  status: number | null
  headers: Record<string, string> | null
  body: Buffer | null
}

const KEY_MAX = 255

/** @throws {TollgateError} 400 for a malformed key, 409 when it is taken, 503 when it can't be looked up. */
export async function claimKey(
  { database, log }: { database: Database; log: Log },
  caller: Caller,
  key: string,
  body: Buffer,
  callId: string,
): Promise<Claim> {
  if (!/^[\x21-\x7e]+$/.test(key) || key.length > KEY_MAX) {
    throw new TollgateError(
      400,
      'invalid_idempotency_key',
      `Idempotency-Key must be 1 to ${KEY_MAX} printable characters without spaces.`,
    )
  }
  const hash = createHash('sha256').update(body).digest()
  const row = await claim(database, caller, key, hash, callId)
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
      `The call with this Idempotency-Key has finished as a stream, which is not repeated. GET /v1/calls/${row.call_id} shows what it cost.`,
      row.call_id,
    )
  }
  const mine = () => database.query.updateTable('tollgate.idempotency_keys').where('call_id', '=', callId)
  return {
    replay:
      row.outcome === 'answered'
        ? { status: row.status ?? 200, headers: row.headers ?? {}, body: row.body ?? Buffer.alloc(0) }
        : null,
    answered: ({ status, headers, body: answer }) =>
      close(mine().set({ state: 'answered', status, headers: JSON.stringify(headers), body: answer })),
    streamed: () => close(mine().set({ state: 'streamed' })),
    dropped: () => close(database.query.deleteFrom('tollgate.idempotency_keys').where('call_id', '=', callId)),
  }

  async function close(statement: { execute(): Promise<unknown> }): Promise<void> {
    try {
      await statement.execute()
    } catch (err) {
      log.error({ err, call_id: callId }, 'an idempotency key could not be closed')
    }
  }
}

async function claim(database: Database, caller: Caller, key: string, hash: Buffer, callId: string): Promise<ClaimRow> {
  try {
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

function conflict(code: string, message: string, callId: string): TollgateError {
  return new TollgateError(409, code, message, {
    headers: { 'x-should-retry': code === 'idempotency_key_in_use' ? 'true' : 'false' },
    fields: { call_id: callId },
  })
}

/** Forgets keys older than a day. */
export async function forgetOldKeys(database: Database): Promise<void> {
  await sql`delete from tollgate.idempotency_keys where created_at < tollgate.tollgate_now() - interval '24 hours'`.execute(
    database.query,
  )
}
