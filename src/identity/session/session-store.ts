/**
 * Where sessions of people are kept. In Redis under `session:<token>`, as Ops-Center keeps them, so that either reads the other's; without
 * a Redis in the database, by the hash of the token.
 */
import type { Redis } from 'ioredis'
import { sql } from 'kysely'
import type { Database } from '../../db/connect.ts'
import { hashKey } from '../api-key.ts'

export interface SessionStore {
  /** The JSON that was kept; null where there is none any more. @throws where the store is away. */
  find(token: string): Promise<unknown>
  save(token: string, data: unknown, seconds: number): Promise<void>
  remove(token: string): Promise<void>
}

export function redisSessions(redis: Redis, prefix: string): SessionStore {
  return {
    async find(token) {
      const text = await redis.get(`${prefix}${token}`)
      try {
        return text === null ? null : JSON.parse(text)
      } catch {
        return null
      }
    },
    async save(token, data, seconds) {
      await redis.set(`${prefix}${token}`, JSON.stringify(data), 'EX', seconds)
    },
    async remove(token) {
      await redis.del(`${prefix}${token}`)
    },
  }
}

export function storedSessions(database: Database): SessionStore {
  return {
    async find(token) {
      const row = await database.query
        .selectFrom('tollgate.sessions')
        .select('data')
        .where('token_hash', '=', hashKey(token))
        .where('expires_at', '>', sql<Date>`tollgate.tollgate_now()`)
        .executeTakeFirst()
      return row?.data ?? null
    },
    async save(token, data, seconds) {
      await sql`insert into tollgate.sessions (token_hash, data, expires_at)
        values (${hashKey(token)}, ${JSON.stringify(data)}, tollgate.tollgate_now() + make_interval(secs => ${seconds}))`.execute(
        database.query,
      )
    },
    async remove(token) {
      await database.query.deleteFrom('tollgate.sessions').where('token_hash', '=', hashKey(token)).execute()
    },
  }
}

/** Sessions that are over are not found any more; removing them frees their room. */
export async function pruneSessions(database: Database): Promise<void> {
  await sql`delete from tollgate.sessions where expires_at < tollgate.tollgate_now()`.execute(database.query)
}
