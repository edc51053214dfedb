/** Limits of a minute: counted here, and shared through Redis where there is one. */

import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRateLimits } from '../../src/admission/rate-limits.ts'
import { createRateWindows, type RateWindows } from '../../src/admission/rate-windows.ts'
import type { RateLimitSettings } from '../../src/config/config.ts'
import { connectRedis } from '../../src/db/redis.ts'
import { TollgateError } from '../../src/http/errors.ts'
import { NO_LIMITS } from '../../src/identity/no-limits.ts'
import { callerFor } from '../support/caller.ts'
import { redisInstalled, startRedis, type TestRedis } from '../support/redis.ts'

const SETTINGS: RateLimitSettings = {
  post: 20,
  get: 100,
  change: 100,
  quotes: 60,
  calls: {
    key: NO_LIMITS,
    organization: NO_LIMITS,
    plans: { platform: NO_LIMITS, byok: NO_LIMITS, hybrid: NO_LIMITS },
  },
}

async function refusalOf(work: Promise<unknown> | null): Promise<TollgateError | null> {
  try {
    await work
    return null
  } catch (error) {
    if (!(error instanceof TollgateError)) throw error
    return error
  }
}

describe('A limit of a management route', () => {
  test('A limit of a management route refuses the 21st POST and the 101st GET of a caller, states when to come back, and counts each route for itself.', async () => {
    const rates = createRateLimits(SETTINGS, createRateWindows(null, Date.now), Date.now)
    for (const [method, most] of [
      ['POST', 20],
      ['GET', 100],
    ] as const) {
      const rule = rates.ruleOf(method, '/api/v1/x')
      for (let i = 1; i <= most; i++)
        expect(await rates.request(rule, 'alice')).toMatchObject({ limit: most, remaining: most - i })
      const before = Date.now() / 1000
      const refused = await refusalOf(rates.request(rule, 'alice'))
      expect(refused).toMatchObject({ status: 429, code: 'rate_limit_exceeded', limit: 'requests_per_minute' })
      expect(refused?.message).toMatch(/^Rate limit exceeded\. Try again in \d+ seconds\.$/)
      expect(refused?.headers).toMatchObject({ 'X-RateLimit-Limit': `${most}`, 'X-RateLimit-Remaining': '0' })
      const reset = Number(refused?.headers['X-RateLimit-Reset'])
      expect(Number.isInteger(reset) && reset > before && reset <= before + 62).toBe(true)
      expect(Number(refused?.headers['Retry-After'])).toBeGreaterThanOrEqual(1)
      expect(await refusalOf(rates.request(rule, 'bob'))).toBeNull()
      expect(await refusalOf(rates.request(rates.ruleOf(method, '/api/v1/y'), 'alice'))).toBeNull()
    }
  })
})

describe('A limit of calls', () => {
  const key = { requestsPerMinute: 2, tokensPerMinute: null, callsAtOnce: null }
  const organization = { requestsPerMinute: 3, tokensPerMinute: 100, callsAtOnce: null }

  test('The limit of calls is the lowest of those of the key, the configuration and the organization.', async () => {
    const settings = { ...SETTINGS, calls: { ...SETTINGS.calls, organization } }
    const rates = createRateLimits(settings, createRateWindows(null, Date.now), Date.now)
    const first = callerFor({ organizationId: 'o', userId: 'a', keyId: 'k1', limits: key })
    const second = callerFor({ organizationId: 'o', userId: 'b', keyId: 'k2' })
    expect([await rates.call(first), await rates.call(first)]).toMatchObject([
      { limit: 2, remaining: 1 },
      { limit: 2, remaining: 0 },
    ])
    expect(await refusalOf(rates.call(first))).toMatchObject({
      status: 429,
      limit: 'calls_per_minute',
      message: 'Rate limit exceeded. Maximum 2 calls of this key per minute.',
    })
    // The one that has least left is stated.
    expect(await rates.call(second)).toMatchObject({ limit: 3, remaining: 0 })
    expect((await refusalOf(rates.call(second)))?.message).toBe(
      'Rate limit exceeded. Maximum 3 calls of this organization per minute.',
    )
  })

  test('A limit of tokens refuses the next call once they are used up.', async () => {
    const settings = { ...SETTINGS, calls: { ...SETTINGS.calls, organization } }
    const rates = createRateLimits(settings, createRateWindows(null, Date.now), Date.now)
    const caller = callerFor({ organizationId: 'p', userId: 'a', keyId: 'k1' })
    expect(await refusalOf(rates.call(caller))).toBeNull()
    rates.tokens(caller, 'gpt-4o', 99)
    expect(await refusalOf(rates.call(caller))).toBeNull()
    rates.tokens(caller, 'gpt-4o', 1)
    expect(await refusalOf(rates.call(caller))).toMatchObject({ status: 429, limit: 'tokens_per_minute' })
  })

  test('The limit of calls of people without keys is counted for each of them, not for their organization.', async () => {
    const settings = { ...SETTINGS, calls: { ...SETTINGS.calls, key } }
    const rates = createRateLimits(settings, createRateWindows(null, Date.now), Date.now)
    const [alice, bob] = ['a', 'b'].map((userId) => callerFor({ organizationId: 'q', userId, keyId: null }))
    for (const person of [alice, bob])
      expect([await rates.call(person!), await rates.call(person!)]).toMatchObject([{ remaining: 1 }, { remaining: 0 }])
    expect((await refusalOf(rates.call(alice!)))?.message).toBe(
      'Rate limit exceeded. Maximum 2 calls of this user per minute.',
    )
  })

  test('Where no limit is set, a call is not counted.', () => {
    const rates = createRateLimits(SETTINGS, createRateWindows(null, Date.now), Date.now)
    expect(rates.call(callerFor({ organizationId: 'o', userId: 'a', keyId: 'k' }))).toBeNull()
  })
})

describe.skipIf(!redisInstalled())('Two processes', () => {
  let server: TestRedis
  const connections: Redis[] = []
  const open: RateWindows[] = []

  async function connect(): Promise<RateWindows> {
    const redis = connectRedis(server.url, () => {})
    connections.push(redis)
    await new Promise<void>((resolve) => redis.once('ready', () => resolve()))
    const windows = createRateWindows(redis, () => performance.now())
    open.push(windows)
    return windows
  }

  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(async () => {
    for (const windows of open) windows.close()
    for (const redis of connections) redis.disconnect()
    await server.stop()
  })

  test('Two processes share a window, and what one notes without waiting for Redis reaches the other.', async () => {
    const [a, b] = [await connect(), await connect()]
    for (let i = 0; i < 10; i++) await a.add('shared', 1)
    await expect.poll(async () => (await b.add('shared', 0)).count).toBe(10)
    await b.note('later', 3)
    await expect.poll(async () => (await a.add('later', 0)).count).toBe(3)
  })

  test('Two processes count for themselves while Redis is silent, without waiting for it at each call, and count together again afterwards.', async () => {
    const [a, b] = [await connect(), await connect()]
    await a.add('silent', 1)
    server.send('SIGSTOP')
    const startedAt = performance.now()
    for (let i = 0; i < 50; i++) await a.add('silent', 1)
    const took = performance.now() - startedAt
    expect((await a.look('silent')).count).toBe(51)
    // One waits its 4 ms; the others know better. 50 that wait would take 200.
    expect(took).toBeLessThan(150)
    expect((await b.add('silent', 1)).count).toBe(1)
    server.send('SIGCONT')
    await expect.poll(async () => (await b.add('silent', 0)).count, { timeout: 20_000 }).toBe(52)
  })
})
