/** Session cookies, as Ops-Center keeps them in Redis, on the running product. */
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashKey } from '../../src/identity/api-key.ts'
import { pruneSessions, storedSessions } from '../../src/identity/session/session-store.ts'
import { useDatabase } from '../support/database.ts'
import { redisInstalled, startRedis, type TestRedis } from '../support/redis.ts'
import { configFor, get, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'

const BODY = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }] }
const APP = 'https://app.example.com'
const ADMIN_ROUTE = '/api/v1/admin/platform-keys'

const db = useDatabase()

test('A session in the database ends when its time is over, and its row is removed.', async () => {
  const store = storedSessions(db.database)
  await store.save('short', { user: { user_id: 'alice' } }, 3_600)
  await store.save('long', { user: { user_id: 'alice' } }, 7_200)
  expect(await store.find('short')).toEqual({ user: { user_id: 'alice' } })
  await db.moveClock('3601 seconds')
  expect(await store.find('short')).toBeNull()
  await pruneSessions(db.database)
  const { rows } = await db.pool.query('select token_hash from tollgate.sessions')
  expect(rows).toEqual([{ token_hash: hashKey('long') }])
  await store.remove('long')
  expect(await store.find('long')).toBeNull()
})

describe.skipIf(!redisInstalled())('a session in Redis', () => {
  let redis: TestRedis
  let client: Redis
  let upstream: ScriptedUpstream
  let tollgate: Tollgate
  let acme: Awaited<ReturnType<typeof db.seedOrganization<'alice'>>>

  beforeAll(async () => {
    ;[redis, upstream] = await Promise.all([startRedis(), startUpstream()])
    client = new Redis(redis.url)
    acme = await db.seedOrganization({ name: 'acme', credits: 1000, users: { alice: 500 } })
    tollgate = await startTollgate({
      databaseUrl: db.url,
      config: configFor(upstream.url, {
        tollgate: { cors: { origins: [APP] }, limits: { unknown_keys_per_minute: 1000 } },
      }),
      env: { REDIS_URL: redis.url },
    })
  })
  afterAll(async () => {
    client.disconnect()
    await tollgate.stop()
    await Promise.all([redis.stop(), upstream.close()])
  })

  async function seed(token: string, session: unknown): Promise<{ cookie: string }> {
    await client.set(`session:${token}`, typeof session === 'string' ? session : JSON.stringify(session), 'EX', 7200)
    return { cookie: `theme=dark; session_token=${token}` }
  }

  async function read(headers: Record<string, string>, path = '/auth/session') {
    const answer = await fetch(`${tollgate.url}${path}`, { headers })
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }

  test('A session in Redis pays for a call as its user.', async () => {
    const headers = await seed('pays', { user: { user_id: 'alice', email: 'alice@example.com', role: 'viewer' } })
    const answer = await postChat(tollgate, null, BODY, { headers })
    expect([answer.status, answer.body]).toEqual([200, expect.any(String)])
    const { rows } = await db.pool.query('select org_id, user_id from credit_usage_attribution where call_id = $1', [
      answer.headers.get('x-litellm-call-id'),
    ])
    expect(rows).toEqual([{ org_id: acme.id, user_id: 'alice' }])
    expect(await read(headers)).toEqual({
      status: 200,
      body: {
        user_id: 'alice',
        email: 'alice@example.com',
        credential: 'session',
        role: 'owner',
        organization_id: acme.id,
        organizations: [{ id: acme.id, role: 'owner' }],
      },
    })
  })

  test.each<[string, unknown, number]>([
    ['roles in a list', { user: { sub: 'root', roles: ['viewer', 'system_admin'] } }, 200],
    ['a role of its own', { user: { sub: 'root', role: 'admin' } }, 200],
    ['roles as one text', { user: { sub: 'root', roles: 'admin' } }, 200],
    [
      'a role whose name only holds the word',
      { user: { sub: 'alice', roles: 'not-an-admin', role: 'administrator' } },
      403,
    ],
    ['no role', { user: { user_id: 'alice' } }, 403],
    ['a role beside its user', { user: { user_id: 'alice' }, roles: ['admin'] }, 403],
  ])(
    'A session in Redis with %s, as in %j, gets %i from a route for system administrators.',
    async (name, session, status) => {
      const headers = await seed(`roles-${name.replaceAll(' ', '-')}`, session)
      expect((await read(headers, ADMIN_ROUTE)).status).toBe(status)
    },
  )

  test.each<[string, unknown]>([
    ['nothing', null],
    ['what is no JSON', '{'],
    ['a list', []],
    ['no user', { csrf_token: 'x' }],
    ['a user without an id', { user: { email: 'alice@example.com', user_id: '' } }],
    ['an id that can be none', { user: { user_id: 'a\0b' } }],
  ])('A session in Redis that holds %s gets 401.', async (name, session) => {
    const headers = await seed(`broken-${name.replaceAll(' ', '-')}`, session)
    expect(await read(headers)).toEqual({
      status: 401,
      body: {
        error: expect.objectContaining({ code: 'invalid_session' }),
        detail: 'Invalid or expired session. Please login again.',
      },
    })
  })

  test('A session in Redis that does not exist gets 401, before anything else is looked at.', async () => {
    const headers = { cookie: 'session_token=nobody', origin: 'https://evil.example' }
    const answer = await postChat(tollgate, null, '{', { headers })
    expect([answer.status, answer.json().detail]).toEqual([401, 'Invalid or expired session. Please login again.'])
  })

  test('A session in Redis gives way to a key that is sent beside it.', async () => {
    const { cookie } = await seed('beside', { user: { user_id: 'root', role: 'admin' } })
    const answer = await fetch(`${tollgate.url}/auth/session`, {
      headers: { cookie, authorization: `Bearer ${acme.keys.alice}` },
    })
    expect(await answer.json()).toMatchObject({ user_id: 'alice', credential: 'api_key' })
  })

  test('A session in Redis that was removed is refused a second later.', async () => {
    const headers = await seed('removed', { user: { user_id: 'alice' } })
    expect((await read(headers)).status).toBe(200)
    await client.del('session:removed')
    await expect.poll(async () => (await read(headers)).status, { timeout: 10_000, interval: 100 }).toBe(401)
  })

  describe('from a page', () => {
    test.each<[string, string, Record<string, string>, number]>([
      ['of no browser changes', 'POST', {}, 200],
      ['of our own changes', 'POST', { origin: 'OWN', 'sec-fetch-site': 'same-origin' }, 200],
      ['of our own changes, in a browser that does not say where it is', 'POST', { origin: 'OWN' }, 200],
      ['of a listed site changes', 'POST', { origin: APP, 'sec-fetch-site': 'cross-site' }, 200],
      [
        'of another site does not change',
        'POST',
        { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
        403,
      ],
      ['of another site does not change, by its origin alone', 'POST', { origin: 'https://evil.example' }, 403],
      ['of another site does not change, by the browser alone', 'POST', { 'sec-fetch-site': 'cross-site' }, 403],
      ['of another host of our domain does not change', 'POST', { 'sec-fetch-site': 'same-site' }, 403],
      ['of no origin does not change', 'POST', { origin: 'null' }, 403],
      ['of our host on another scheme does not change', 'POST', { origin: 'OWN-TLS' }, 403],
      [
        'of another site reads, which browsers do not show to it',
        'GET',
        { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
        200,
      ],
    ])(
      'A request from a page with a session is answered as its origin deserves: %s: %s %j.',
      async (_, method, stated, status) => {
        const token = `page-${method}-${status}-${JSON.stringify(stated).replaceAll(/\W/g, '')}`
        const { cookie } = await seed(token, { user: { user_id: 'alice' } })
        const headers: Record<string, string> = { cookie, ...stated }
        if (stated.origin === 'OWN') headers.origin = tollgate.url
        if (stated.origin === 'OWN-TLS') headers.origin = tollgate.url.replace('http:', 'https:')
        const path = method === 'POST' ? '/auth/logout' : '/auth/session'
        const answer = await fetch(`${tollgate.url}${path}`, { method, headers })
        expect(answer.status).toBe(status)
        // What was refused changed nothing.
        expect(await client.exists(`session:${token}`)).toBe(method === 'POST' && status === 200 ? 0 : 1)
      },
    )
  })

  test('A session in Redis gets 503 while Redis does not respond, and callers with keys are served as before.', async () => {
    const headers = await seed('away', { user: { user_id: 'alice' } })
    redis.send('SIGSTOP')
    try {
      const answer = await read(headers)
      expect([answer.status, (answer.body.error as { code: string }).code]).toEqual([503, 'sessions_unavailable'])
      expect((await get(tollgate, acme.keys.alice, '/v1/models')).status).toBe(200)
    } finally {
      redis.send('SIGCONT')
    }
    await expect.poll(async () => (await read(headers)).status, { timeout: 10_000, interval: 200 }).toBe(200)
  })
})
