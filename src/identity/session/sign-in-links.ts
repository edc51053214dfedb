/**
 * Links that sign somebody in, once: the server of a machine of one's own prints one when it starts, as Jupyter does. They are in the
 * database, by the hash of their token, so that every process of the server knows them; whoever takes one first removes it.
 */
import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { z } from 'zod'
import type { Database } from '../../db/connect.ts'
import { hashKey } from '../api-key.ts'

const TOKEN_BYTES = 32
/** A server that was started in the morning is opened in the afternoon. */
const SECONDS = 86_400

/** Not the shape of a session: the token of a link is no session. */
const kept = z.object({ link: z.object({ user_id: z.string() }) })

/** @returns the token for a link that signs this user in as the operator. */
export async function makeSignInLink({ query }: Pick<Database, 'query'>, userId: string): Promise<string> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url')
  await sql`insert into tollgate.sessions (token_hash, data, expires_at)
    values (${hashKey(token)}, ${JSON.stringify({ link: { user_id: userId } })}, tollgate.tollgate_now() + make_interval(secs => ${SECONDS}))`.execute(
    query,
  )
  return token
}

/** @returns whom it signs in; null for a link that was used, is too old, or was never made. */
export async function takeSignInLink({ query }: Pick<Database, 'query'>, token: string): Promise<string | null> {
  const { rows } = await sql<{ data: unknown }>`
    delete from tollgate.sessions
    where token_hash = ${hashKey(token)} and expires_at > tollgate.tollgate_now() and data ? 'link'
    returning data`.execute(query)
  const read = kept.safeParse(rows[0]?.data)
  return read.success ? read.data.link.user_id : null
}
