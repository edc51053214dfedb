/**
 * A change that was asked for over HTTP: one transaction, made once for each Idempotency-Key of whoever asks. The key is written in the
 * same transaction, so it is there exactly when the change is; of two requests at once the second waits and gets the first one's
 * response. A change that fails leaves no key.
 */
import { createHash } from 'node:crypto'
import { sql, type Transaction } from 'kysely'
import type { Database } from '../db/connect.ts'
import type { Tables } from '../db/tables.ts'
import { TollgateError } from '../http/errors.ts'

export type ChangeTransaction = Transaction<Tables>

export interface ChangeRequest {
  /** Whose key it is: organization and user. */
  actor: string
  /** Null: without a key, made each time it is asked for. */
  key: string | null
  /** What was asked, in a form that is the same whenever it is the same. */
  asked: string
}

const KEY_MAX = 255
/** As long as the keys of calls. */
const KEPT = "interval '24 hours'"

/** @returns the JSON text of the response, of the first time for a key that was used. @throws {TollgateError} 409, 422. */
export async function change(
  database: Database,
  request: ChangeRequest,
  work: (transaction: ChangeTransaction) => Promise<unknown>,
): Promise<string> {
  const { actor, key } = request
  if (key !== null && (key === '' || key.length > KEY_MAX || !/^[\x20-\x7e]+$/.test(key)))
    throw new TollgateError(400, 'invalid_idempotency_key', `Idempotency-Key must be 1 to ${KEY_MAX} ASCII characters.`)
  return database.query.transaction().execute(async (transaction) => {
    const first = key === null ? null : await claim(transaction, request, key)
    if (first !== null) return first
    const body = JSON.stringify(await work(transaction))
    if (key !== null)
      await sql`update tollgate.change_keys set body = ${body} where actor = ${actor} and key = ${key}`.execute(
        transaction,
      )
    return body
  })
}

/** @returns the response of the change that has the key, null where it is free. */
async function claim(transaction: ChangeTransaction, request: ChangeRequest, key: string): Promise<string | null> {
  const { actor, asked } = request
  const hash = createHash('sha256').update(asked).digest()
  const claimed = await sql`
    insert into tollgate.change_keys as k (actor, key, request_hash) values (${actor}, ${key}, ${hash})
    on conflict (actor, key) do update set request_hash = excluded.request_hash, body = null, created_at = excluded.created_at
      where k.created_at < tollgate.tollgate_now() - ${sql.raw(KEPT)}
    returning key`.execute(transaction)
  if (claimed.rows.length > 0) return null
  const { rows } = await sql<{ same: boolean; body: string }>`
    select request_hash = ${hash} as same, body from tollgate.change_keys where actor = ${actor} and key = ${key}`.execute(
    transaction,
  )
  if (rows[0]?.same === true) return rows[0].body
  throw new TollgateError(
    422,
    'idempotency_key_reused',
    'This Idempotency-Key was used for another request. Send a new key for a new change.',
  )
}

/** Forgets keys older than a day. */
export async function forgetChangeKeys(database: Database): Promise<void> {
  await sql`delete from tollgate.change_keys where created_at < tollgate.tollgate_now() - ${sql.raw(KEPT)}`.execute(
    database.query,
  )
}
