/** Logging in with a real OpenID Connect provider: by hand, and in a real browser. */
import type { Browser, Page } from 'puppeteer-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AFTER_LOGIN, returnTo } from '../../src/api/auth/return-to.ts'
import { hashKey } from '../../src/identity/api-key.ts'
import { browserInstalled, startBrowser } from '../support/browser.ts'
import { useDatabase } from '../support/database.ts'
import {
  AUDIENCE,
  CLIENT_SECRET,
  type IdentityProvider,
  LOGIN_CLIENT,
  startIdentityProvider,
} from '../support/identity-provider.ts'
import { freePort, redisInstalled, startRedis, type TestRedis } from '../support/redis.ts'
import { configFor, startTollgate, type Tollgate } from '../support/tollgate.ts'

const db = useDatabase()
let provider: IdentityProvider
/** Its sessions are in the database. */
let tollgate: Tollgate
let redis: TestRedis | null = null
/** Its sessions are in Redis. */
let withRedis: Tollgate | null = null
let acme: Awaited<ReturnType<typeof db.seedOrganization<'alice'>>>

beforeAll(async () => {
  const [port, redisPort] = [await freePort(), await freePort()]
  const callbacks = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${redisPort}`, 'https://gate.example.com']
  provider = await startIdentityProvider(callbacks.map((origin) => `${origin}/auth/callback`))
  provider.claims.set('alice', { realm_access: { roles: ['tollgate-admin'] } })
  acme = await db.seedOrganization({ name: 'acme', credits: 100, users: { alice: 50 } })
  const oidc = {
    issuer: provider.issuer,
    audience: AUDIENCE,
    roles_claim: 'realm_access.roles',
    admin_roles: ['tollgate-admin'],
    client_id: LOGIN_CLIENT,
    client_secret: 'os.environ/LOGIN_SECRET',
  }
  const config = configFor('http://127.0.0.1:9/v1', { tollgate: { oidc: [oidc], trusted_proxies: ['127.0.0.1'] } })
  const start = (own: number, env: Record<string, string>) =>
    startTollgate({
      databaseUrl: db.url,
      config,
      env: { LOGIN_SECRET: CLIENT_SECRET, ...env },
      flags: ['--port', `${own}`],
    })
  tollgate = await start(port, {})
  if (!redisInstalled()) return
  redis = await startRedis()
  withRedis = await start(redisPort, { REDIS_URL: redis.url })
})
afterAll(async () => {
  await Promise.all([tollgate.stop(), withRedis?.stop()])
  await Promise.all([provider.close(), redis?.stop()])
})

function visit(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${tollgate.url}${path}`, { headers, redirect: 'manual' })
}

describe('a login', () => {
  test('A login leaves for the provider with a challenge, a state and a nonce of its own each time.', async () => {
    const answers = [await visit('/auth/login'), await visit('/auth/login')]
    const [one, other] = answers.map((answer) => new URL(answer.headers.get('location') ?? ''))
    expect(answers.map(({ status }) => status)).toEqual([302, 302])
    expect(Object.fromEntries(one?.searchParams ?? [])).toEqual({
      client_id: LOGIN_CLIENT,
      response_type: 'code',
      redirect_uri: `${tollgate.url}/auth/callback`,
      scope: 'openid profile email',
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
    })
    for (const name of ['state', 'nonce', 'code_challenge'])
      expect(one?.searchParams.get(name)).not.toBe(other?.searchParams.get(name))
    expect(answers[0]?.headers.get('set-cookie')).toMatch(
      /^tollgate_login=[\w-]+; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax$/,
    )
    expect(answers[0]?.headers.get('cache-control')).toBe('no-store')
  })

  test('A login behind TLS keeps its secrets in a cookie that only our host over TLS can set or get.', async () => {
    const answer = await visit('/auth/login', {
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'gate.example.com',
    })
    const to = new URL(answer.headers.get('location') ?? '')
    expect(to.searchParams.get('redirect_uri')).toBe('https://gate.example.com/auth/callback')
    expect(answer.headers.get('set-cookie')).toMatch(
      /^__Host-tollgate_login=[\w-]+; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    )
  })

  test.each<[string, (state: string, cookie: string) => [path: string, cookie: string], number, string]>([
    ['in a browser that did not begin it', (state) => [`code=x&state=${state}`, ''], 400, 'login_failed'],
    ['with another state', (_, cookie) => ['code=x&state=other', cookie], 400, 'login_failed'],
    ['without a state', (_, cookie) => ['code=x', cookie], 400, 'login_failed'],
    [
      'with a code that the provider did not give',
      (state, cookie) => [`code=x&state=${state}`, cookie],
      400,
      'login_failed',
    ],
    [
      'with a cookie that holds nonsense',
      (state) => [`code=x&state=${state}`, 'tollgate_login=e30'],
      400,
      'login_failed',
    ],
    [
      'because its user declined',
      (state, cookie) => [`error=access_denied&state=${state}`, cookie],
      403,
      'login_refused',
    ],
  ])('A login that ends %s gives no session.', async (_, make, status, code) => {
    const begun = await visit('/auth/login')
    const state = new URL(begun.headers.get('location') ?? '').searchParams.get('state') ?? ''
    const [query, cookie] = make(state, begun.headers.get('set-cookie')?.split(';')[0] ?? '')
    const iss = `&iss=${encodeURIComponent(provider.issuer)}`
    const answer = await visit(`/auth/callback?${query}${iss}`, { cookie })
    const { error } = (await answer.json()) as { error: { code: string } }
    expect([answer.status, error.code]).toEqual([status, code])
    expect(answer.headers.get('set-cookie')).toBeNull()
  })
})

describe('where a login leads', () => {
  test.each(['/', '/usage?from=1#top', '/auth/session', '/a/b%20c'])(
    '%s is a page of ours, where a login may lead.',
    (path) => {
      expect(returnTo(path)).toBe(path)
    },
  )

  test.each([
    undefined,
    '',
    'usage',
    'https://evil.example/',
    '//evil.example',
    '///evil.example',
    '/\\evil.example',
    '/\t/evil.example',
    '/\n/evil.example',
    '/x/..//evil.example',
    '/.//evil.example',
    'javascript:alert(1)',
    '/x\\..\\..\\evil',
  ])('%j is no page of ours, and no login leads there.', (path) => {
    expect(returnTo(path)).toBe(AFTER_LOGIN)
  })
})

describe.skipIf(!browserInstalled())('in a browser', () => {
  let browser: Browser

  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(() => browser.close())

  test.each(['the database', 'Redis'])(
    'A user logs in in a browser, is known, and logs out; the session is in %s.',
    async (where) => {
      const product = where === 'Redis' ? withRedis : tollgate
      if (product === null) return expect(redisInstalled()).toBe(false)
      const context = await browser.createBrowserContext()
      const page = await context.newPage()
      await page.goto(`${product.url}/auth/login?return_to=%2Fauth%2Fsession%3Fafter%3Dlogin`)
      await logIn(page, 'alice')
      expect(page.url()).toBe(`${product.url}/auth/session?after=login`)
      const shown = JSON.parse((await page.evaluate('document.body.innerText')) as string)
      expect(shown).toEqual({
        user_id: 'alice',
        email: 'alice@example.com',
        credential: 'session',
        role: 'system_admin',
        organization_id: acme.id,
        organizations: [{ id: acme.id, role: 'owner' }],
      })
      const cookies = (await context.cookies()).filter(({ name }) => /session_token|tollgate_login/.test(name))
      expect(cookies).toEqual([
        expect.objectContaining({ name: 'session_token', httpOnly: true, sameSite: 'Lax', secure: false, path: '/' }),
      ])
      const token = cookies[0]?.value ?? ''
      const kept = await db.pool.query('select data from tollgate.sessions where token_hash = $1', [hashKey(token)])
      expect(kept.rowCount).toBe(where === 'Redis' ? 0 : 1)

      // A page of another site can send nothing with this session: the browser does not send the cookie along, and we refuse.
      const answer = await fetch(`${product.url}/auth/logout`, {
        method: 'POST',
        headers: { cookie: `session_token=${token}`, origin: 'https://evil.example' },
      })
      expect(answer.status).toBe(403)
      const out = await page.evaluate("fetch('/auth/logout', { method: 'POST' }).then((answer) => answer.json())")
      expect(out).toEqual({
        logged_out: true,
        provider_logout_url: expect.stringContaining(`${provider.issuer}/session/end`),
      })
      expect((await context.cookies()).some(({ name }) => name === 'session_token')).toBe(false)
      // Whoever copied the token has nothing of it.
      const again = await fetch(`${product.url}/auth/session`, { headers: { cookie: `session_token=${token}` } })
      expect(again.status).toBe(401)
      await context.close()
    },
  )
})

/** On the provider's pages: its login, then its consent. */
async function logIn(page: Page, user: string): Promise<void> {
  await page.type('input[name=login]', user)
  await page.type('input[name=password]', 'any')
  await Promise.all([page.waitForNavigation(), page.click('button[type=submit]')])
  await Promise.all([page.waitForNavigation(), page.click('button[type=submit]')])
}
