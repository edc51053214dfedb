/** A connection to Redis that fails fast: what it keeps can be had elsewhere or be refused, and no caller waits for it. */
import { createRequire } from 'node:module'
import type { Redis } from 'ioredis'

const CONNECT_MS = 2_000
const COMMAND_MS = 1_000
const RETRY_MS = 500

/**
 * Throws nothing: commands fail until it is connected.
 * @param onError told once of each time that Redis goes away, not of each try to find it again.
 */
export function connectRedis(url: string, onError: (error: Error) => void): Redis {
  // Loaded where Redis is configured: most programs have none, and it takes a tenth of a second.
  const ioredis: typeof import('ioredis') = createRequire(import.meta.url)('ioredis')
  const redis = new ioredis.Redis(url, {
    connectTimeout: CONNECT_MS,
    commandTimeout: COMMAND_MS,
    maxRetriesPerRequest: 1,
    retryStrategy: () => RETRY_MS,
  })
  let isAway = false
  redis.on('error', (error) => {
    if (!isAway) onError(error)
    isAway = true
  })
  redis.on('ready', () => {
    isAway = false
  })
  return redis
}
