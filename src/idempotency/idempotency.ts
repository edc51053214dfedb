/**
 * A caller's Idempotency-Key, bound to the caller and to what was asked for: the bytes sent and the power level. While the first call
 * runs, another with the same key is refused. What was charged is kept under its key for 24 hours: a JSON response and an error that
 * cost something are repeated; a stream, a large response, and one that newer ones have displaced name their call. A key that a crash
 * left behind is closed by what its call left on the books.
 *
 * It is looked up first, so that what was paid for is repeated whatever is left to spend, and claimed once the call is held, before it
 * goes out. It is never a billing key. Fails closed: where the key can't be looked up or claimed, the call is not made.
 */
import type { ServerResponse } from 'node:http'
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import { hashInSlices } from '../http/in-slices.ts'
import type { Caller } from '../identity/caller.ts'
import type { Log } from '../observe/log.ts'

export interface StoredResponse {
  status: number
  headers: Record<string, string>
  body: Buffer
}

/** How a call left its key: with a response to repeat, as a stream, or free again because nothing was charged. */
export type KeyState = StoredResponse | 'streamed' | 'released'

export interface IdempotencyKey {
  /** What an earlier call answered; null where the key is free. @throws {TollgateError} 409 when it is taken, 503. */
  find(): Promise<StoredResponse | null>
  /** Takes it for this call. What another call answered meanwhile is returned instead. @throws {TollgateError} 409, 503. */
  claim(): Promise<StoredResponse | null>
  /**
   * Once, when a call that claimed it is over. Never throws, since the call is over; a key that could not be closed finds what its
   * call left on the books, and the operator is told.
   */
  close(state: KeyState): Promise<void>
}

interface KeyRow {
  outcome: 'claimed' | 'other_body' | 'running' | 'answered' | 'streamed'
  call_id: string
  status: number | null
  headers: Record<string, string> | null
  body: Buffer | null
}

const KEY_MAX = 255
/** A larger response is not kept. */
export const ANSWER_BYTES_MAX = 256 * 1024
/** Of one user, the newest; with the bound above 256 MB. */
export const ANSWERS_MAX = 1_000
const PRUNED_AT_ONCE = 1_000

/** @param variant what is asked for besides the body. @throws {TollgateError} 400 for a malformed key. */
export function openIdempotencyKey(
  { database, log }: { database: Database; log: Log },
  { organizationId, userId }: Caller,
  key: string,
  { body, variant }: { body: Buffer; variant: string },
  callId: string,
): IdempotencyKey {
  if (!/^[\x21-\x7e]+$/.test(key) || key.length > KEY_MAX) {
    throw new TollgateError(
      400,
      'invalid_idempotency_key',
      `Idempotency-Key must be 1 to ${KEY_MAX} printable characters without spaces.`,
    )
  }
  const { query } = database
  let known: Promise<Buffer> | null = null

  function hash(): Promise<Buffer> {
    known ??= hashInSlices(body, `\0${variant}`)
    return known
  }

  async function close(state: KeyState): Promise<void> {
    if (state === 'released') {
      const mine = query.deleteFrom('tollgate.idempotency_keys').where('org_id', '=', organizationId)
      await mine.where('user_id', '=', userId).where('key', '=', key).where('call_id', '=', callId).execute()
      return
    }
    if (state === 'streamed' || state.body.length > ANSWER_BYTES_MAX) {
      const mine = query.updateTable('tollgate.idempotency_keys').set({ state: 'streamed' })
      const where = mine.where('org_id', '=', organizationId).where('user_id', '=', userId).where('key', '=', key)
      await where.where('call_id', '=', callId).execute()
      return
    }
    const { status, headers, body: answer } = state
    await sql`select tollgate.store_idempotent_answer(${organizationId}, ${userId}, ${key}, ${callId}, ${status},
      ${JSON.stringify(headers)}, ${answer}, ${ANSWERS_MAX})`.execute(query)
  }

  return {
    async find() {
      const row = await asked(
        sql<KeyRow & { body_hash: Buffer }>`
          select * from tollgate.find_idempotency_key(${organizationId}, ${userId}, ${key})`.execute(query),
      )
      if (row === undefined) return null
      return responseOf(row.body_hash.equals(await hash()) ? row : { ...row, outcome: 'other_body' })
    },
    async claim() {
      const ownHash = await hash()
      const row = await asked(
        sql<KeyRow>`
          select * from tollgate.claim_idempotency_key(${organizationId}, ${userId}, ${key}, ${ownHash}, ${callId})`.execute(
          query,
        ),
      )
      return row?.outcome === 'claimed' ? null : responseOf(row!)
    },
    async close(state) {
      try {
        await close(state)
      } catch (err) {
        log.error({ err, call_id: callId }, 'an idempotency key could not be closed')
      }
    },
  }
}

async function asked<Row>(answer: Promise<{ rows: Row[] }>): Promise<Row | undefined> {
  try {
    return (await answer).rows[0]
  } catch (cause) {
    throw new TollgateError(
      503,
      'database_unavailable',
      'The Idempotency-Key could not be looked up. Try again shortly.',
      { headers: { 'Retry-After': '2' }, cause },
    )
  }
}

/** @throws {TollgateError} 409 where there is no response to repeat. */
function responseOf({ outcome, call_id: callId, ...answer }: KeyRow): StoredResponse {
  if (outcome === 'answered')
    return { status: answer.status ?? 200, headers: answer.headers ?? {}, body: answer.body ?? Buffer.alloc(0) }
  if (outcome === 'other_body')
    throw conflict(
      'idempotency_key_reused',
      'This Idempotency-Key was used for a different request. Use a new key for a new request.',
      callId,
    )
  if (outcome === 'streamed')
    throw conflict(
      'idempotency_key_streamed',
      `The call with this Idempotency-Key is over, and its response is not kept. GET /v1/calls/${callId} shows what it cost.`,
      callId,
    )
  throw conflict(
    'idempotency_key_in_use',
    'A call with this Idempotency-Key is still running. Try again when it has finished.',
    callId,
  )
}

function conflict(code: string, message: string, callId: string): TollgateError {
  return new TollgateError(409, code, message, {
    headers: { 'x-should-retry': code === 'idempotency_key_in_use' ? 'true' : 'false' },
    fields: { call_id: callId },
  })
}

/** Repeats a stored response: same status, body and cost headers, marked as repeated; nothing is charged again. */
export function replay(to: { outgoing: ServerResponse; requestId: string }, answer: StoredResponse): void {
  to.outgoing.writeHead(answer.status, {
    ...answer.headers,
    'X-Request-ID': to.requestId,
    'Idempotent-Replayed': 'true',
    'content-length': answer.body.length,
  })
  to.outgoing.end(answer.body)
}

/** Forgets keys older than a day, a thousand at a time: whoever claims or closes one meanwhile does not wait for all of them. */
export async function forgetOldKeys(database: Database): Promise<void> {
  for (;;) {
    const { rows } = await sql<{ gone: number }>`
      select tollgate.prune_idempotency_keys(${PRUNED_AT_ONCE}) as gone`.execute(database.query)
    if ((rows[0]?.gone ?? 0) < PRUNED_AT_ONCE) return
  }
}
