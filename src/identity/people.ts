/** How people are known: by tokens of identity providers, and by sessions, for as long as the process runs. */
import type { UnknownKeys } from '../admission/unknown-keys.ts'
import type { Config } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import { connectRedis } from '../db/redis.ts'
import type { Cors } from '../http/cors.ts'
import { createRequireSameSite } from '../http/same-site.ts'
import type { ClientOf } from '../http/trusted-proxies.ts'
import { createFindToken, type FindToken } from './oidc/tokens.ts'
import { createFindPrincipal } from './person.ts'
import { pruneSessions, redisSessions, storedSessions } from './session/session-store.ts'
import { createSessions, type Sessions } from './session/sessions.ts'

export interface People {
  findToken: FindToken
  sessions: Sessions
  /** Removes sessions that are over, where the store does not do so itself. */
  prune(): Promise<void>
  close(): void
}

export interface PeopleOptions {
  database: Database
  config: Pick<Config, 'oidc' | 'sessions' | 'publicUrl'>
  cors: Cors
  clientOf: ClientOf
  unknownKeys: UnknownKeys
  /** Told of each connection to Redis that breaks. */
  onRedisError: (error: Error) => void
  now: () => number
}

export function openPeople(options: PeopleOptions): People {
  const { database, config, cors, clientOf, unknownKeys, onRedisError, now } = options
  const { redisUrl, prefix } = config.sessions
  const redis = redisUrl === null ? null : connectRedis(redisUrl, onRedisError)
  const store = redis === null ? storedSessions(database) : redisSessions(redis, prefix)
  const findPrincipal = createFindPrincipal(database, now)
  const requireSameSite = createRequireSameSite({ cors, clientOf, publicUrl: config.publicUrl })
  return {
    findToken: createFindToken({ issuers: config.oidc, findPrincipal, unknownKeys, now }),
    sessions: createSessions({ settings: config.sessions, store, findPrincipal, requireSameSite, unknownKeys, now }),
    prune: () => (redis === null ? pruneSessions(database) : Promise.resolve()),
    close: () => redis?.disconnect(),
  }
}
