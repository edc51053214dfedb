/** The product as callers of Ops-Center find it: sessions in Redis, service keys, the limits of a minute, all at once. */
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { expectNothingHeld } from '../support/call-books.ts'
import { type TestDatabase, useDatabase } from '../support/database.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { configFor, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'

export const LOOPNET_KEY = 'sk-loopnet-c41b7f09e6d25a8830bd'
export const LISTED_ORIGIN = 'https://api.kubeworkz.io'

export interface Received {
  status: number
  headers: Headers
  text: string
  json: ReturnType<typeof JSON.parse>
}

export interface Sent {
  method?: string
  /** From `/api/v1`. */
  path: string
  headers?: Record<string, string>
  body?: unknown
}

export interface OpsCenterProduct {
  readonly db: TestDatabase
  readonly upstream: ScriptedUpstream
  readonly tollgate: Tollgate
  /** A session as Ops-Center writes it: the header by which a browser, or LoopNet's backend, sends it. */
  session(userId: string, more?: Record<string, unknown>): Promise<{ cookie: string }>
  send(request: Sent): Promise<Received>
}

/** Call it at the top of a test file. */
export function useOpsCenterProduct(): OpsCenterProduct {
  const db = useDatabase()
  let running: { redis: TestRedis; client: Redis; upstream: ScriptedUpstream; tollgate: Tollgate } | undefined
  const parts = () => {
    if (running === undefined) throw new Error('the product runs only while tests and hooks run')
    return running
  }
  beforeAll(async () => {
    const [redis, upstream] = await Promise.all([startRedis(), startUpstream()])
    const tollgate = await startTollgate({
      databaseUrl: db.url,
      config: config(upstream.url),
      env: { REDIS_URL: redis.url },
    })
    running = { redis, upstream, tollgate, client: new Redis(redis.url) }
    await db.pool.query("select add_credits_to_pool(id, 1000) from organizations where name = 'loopnet'")
  })
  afterEach(() => expectNothingHeld(db.pool))
  afterAll(async () => {
    running?.client.disconnect()
    await running?.tollgate.stop()
    await Promise.all([running?.redis.stop(), running?.upstream.close()])
  })
  return {
    db,
    get upstream() {
      return parts().upstream
    },
    get tollgate() {
      return parts().tollgate
    },
    async session(userId, more = {}) {
      const user = { user_id: userId, email: `${userId}@example.com`, role: 'viewer', ...more }
      await parts().client.set(`session:of-${userId}`, JSON.stringify({ user, csrf_token: 'x' }), 'EX', 7200)
      return { cookie: `session_token=of-${userId}` }
    },
    async send({ method = 'GET', path, headers = {}, body }) {
      const response = await fetch(`${parts().tollgate.url}/api/v1${path}`, {
        method,
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
      const text = await response.text()
      const json = /^[[{]/.test(text) ? JSON.parse(text) : null
      return { status: response.status, headers: response.headers, text, json }
    },
  }
}

function config(upstreamUrl: string): string {
  return configFor(upstreamUrl, {
    router_settings: { num_retries: 0 },
    tollgate: {
      // Those that are documented: 20 POSTs and 100 GETs of one caller and route.
      rate_limits: {},
      cors: { origins: [LISTED_ORIGIN] },
      service_keys: [{ name: 'loopnet', key: LOOPNET_KEY, act_as: 'members' }],
    },
  })
}
