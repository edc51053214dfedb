/** The app is served under its policy, and people get in and out of it: by the link of the start, and with the master key. */
import type { Browser } from 'puppeteer-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readAppFiles } from '../../src/api/app/app-files.ts'
import { createAppSurface } from '../../src/api/app/surface.ts'
import { PERMISSIONS } from '../../src/identity/permissions.ts'
import { makeSignInLink } from '../../src/identity/session/sign-in-links.ts'
import { browserInstalled, startBrowser } from '../support/browser.ts'
import { buildApp } from '../support/built-app.ts'
import { useProduct } from '../support/product.ts'
import { MASTER_KEY } from '../support/tollgate.ts'
import { LOOKS, watch } from './app-window.ts'

const product = useProduct()
let acme: Awaited<ReturnType<typeof product.db.seedOrganization<'alice' | 'bob'>>>

// Before the product starts: it reads the app then.
await buildApp()
beforeAll(async () => {
  acme = await product.db.seedOrganization({ name: 'acme', credits: 100, users: { alice: 50, bob: 10 } })
})

function visit(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> {
  return fetch(`${product.tollgate.url}${path}`, { method, headers, redirect: 'manual' })
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const cookieOf = (answer: Response) => answer.headers.get('set-cookie')?.split(';')[0] ?? ''

describe('the app as files', () => {
  test('Every address of the app is the page, which may load nothing from elsewhere and run nothing inline.', async () => {
    const answers = [await visit('/'), await visit('/app'), await visit('/app/calls/some-id')]
    const pages = await Promise.all(answers.map((answer) => answer.text()))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(new Set(pages).size).toBe(1)
    expect(pages[0]).toMatch(/<script type="module" crossorigin src="\/assets\/index-[\w-]+\.js">/)
    expect(pages[0]).not.toMatch(/<style|style="|<script>/)
    for (const { headers } of answers) {
      expect(headers.get('content-security-policy')).toBe(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      )
      expect(headers.get('cache-control')).toBe('no-cache')
    }
  })

  test.each([
    ['br', 'gzip, br'],
    ['gzip', 'gzip'],
    [null, 'identity'],
  ])('A file of the app comes as %s to whoever accepts %s, and may be kept forever.', async (coding, accepted) => {
    const [, file] = /src="(\/assets\/[^"]+)"/.exec(await (await visit('/')).text()) ?? []
    const answer = await visit(file ?? '', { 'accept-encoding': accepted })
    expect([answer.status, answer.headers.get('content-encoding')]).toEqual([200, coding])
    expect(answer.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    expect(answer.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
    expect((await answer.text()).length).toBeGreaterThan(100_000)
  })

  test('A file that the app does not have is a 404, whatever its name tries.', async () => {
    const statuses = ['index.js', '..%2Findex.html', '%2e%2e%2findex.html'].map((name) => visit(`/assets/${name}`))
    expect((await Promise.all(statuses)).map(({ status }) => status)).toEqual([404, 404, 404])
  })

  test('Where the app was not built, the page says so and how to build it.', async () => {
    expect(readAppFiles('/nowhere/')).toBeNull()
    const [home] = createAppSurface('1.2.3', null).routes
    const { body } = await home!.respond(
      { incoming: { headers: {} }, params: {}, query: new URLSearchParams() } as never,
      null,
      400,
    )
    expect(String(body)).toContain('npm run build:web')
  })
})

describe('the master key', () => {
  test('The master key is exchanged for a session of the operator, which no script can read.', async () => {
    const answer = await visit('/auth/master-key', bearer(MASTER_KEY), 'POST')
    expect([answer.status, await answer.json()]).toEqual([200, { user_id: 'admin' }])
    expect(answer.headers.get('set-cookie')).toMatch(
      /^session_token=[\w-]{43}; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Lax$/,
    )
    const me = (await (await visit('/api/v1/me', { cookie: cookieOf(answer) })).json()) as Record<string, unknown>
    expect(me).toMatchObject({
      user_id: 'admin',
      role: 'system_admin',
      credential: 'session',
      permissions: Object.keys(PERMISSIONS),
      organization: { name: 'Callers without an organization' },
    })
  })

  test.each<[string, () => Record<string, string>, number]>([
    ['no credential', () => ({}), 401],
    ['a key that nobody has', () => bearer(`uc_${'0'.repeat(64)}`), 401],
    ["a user's key", () => bearer(acme.keys.alice), 403],
  ])('With %s nobody gets a session.', async (_, headers, status) => {
    const answer = await visit('/auth/master-key', headers(), 'POST')
    expect([answer.status, answer.headers.get('set-cookie')]).toEqual([status, null])
  })

  test('A page of another site gets nothing by the session, and can’t sign it out.', async () => {
    const cookie = cookieOf(await visit('/auth/master-key', bearer(MASTER_KEY), 'POST'))
    const foreign = { cookie, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
    const [out, still] = [await visit('/auth/logout', foreign, 'POST'), await visit('/api/v1/me', { cookie })]
    expect([out.status, still.status]).toEqual([403, 200])
    const left = await visit(
      '/auth/logout',
      { cookie, origin: product.tollgate.url, 'sec-fetch-site': 'same-origin' },
      'POST',
    )
    expect([left.status, (await visit('/api/v1/me', { cookie })).status]).toEqual([200, 401])
  })
})

describe('the link of the start', () => {
  test('A link signs its user in once; whoever follows it again is led to the page for signing in.', async () => {
    const token = await makeSignInLink(product.db.database, 'alice')
    const [first, second] = [await visit(`/auth/link?token=${token}`), await visit(`/auth/link?token=${token}`)]
    expect([first.status, first.headers.get('location')]).toEqual([302, '/'])
    expect([second.status, second.headers.get('location'), cookieOf(second)]).toEqual([
      302,
      '/app/sign-in?link=over',
      '',
    ])
    const me = await (await visit('/api/v1/me', { cookie: cookieOf(first) })).json()
    expect(me).toMatchObject({ user_id: 'alice', organization: { id: acme.id, name: 'acme' } })
  })

  test('The token of a link is no session, and that of a session is no link.', async () => {
    const token = await makeSignInLink(product.db.database, 'alice')
    expect((await visit('/api/v1/me', { cookie: `session_token=${token}` })).status).toBe(401)
    const session = cookieOf(await visit(`/auth/link?token=${token}`)).split('=')[1]
    const answer = await visit(`/auth/link?token=${session}`)
    expect([answer.headers.get('location'), cookieOf(answer)]).toEqual(['/app/sign-in?link=over', ''])
    expect((await visit('/api/v1/me', { cookie: `session_token=${session}` })).status).toBe(200)
  })

  test('Of many who follow a link at once, one is signed in.', async () => {
    const token = await makeSignInLink(product.db.database, 'alice')
    const answers = await Promise.all(Array.from({ length: 8 }, () => visit(`/auth/link?token=${token}`)))
    expect(answers.filter((answer) => cookieOf(answer) !== '')).toHaveLength(1)
  })

  test('A link that is older than a day signs nobody in.', async () => {
    const token = await makeSignInLink(product.db.database, 'alice')
    await product.db.moveClock('25 hours')
    expect(cookieOf(await visit(`/auth/link?token=${token}`))).toBe('')
  })
})

test('A member is told what it may do, in the organization that it names.', async () => {
  const me = (await (await visit('/api/v1/me', { ...bearer(acme.keys.bob), 'x-org-id': acme.id })).json()) as {
    role: string
    permissions: string[]
  }
  expect(me.role).toBe('member')
  expect(me.permissions).toEqual(
    Object.entries(PERMISSIONS)
      .filter(([, { roles }]) => (roles as readonly string[]).includes('member'))
      .map(([name]) => name),
  )
})

describe.skipIf(!browserInstalled())('signing in with a browser', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(() => browser.close())

  test('The operator opens a screen, signs in with the master key, lands on that screen, and signs out.', async () => {
    const page = await (await browser.createBrowserContext()).newPage()
    const window = watch(page, product.tollgate.url)
    await window.open('/app/usage?by=model')
    expect(new URL(page.url()).pathname).toBe('/app/sign-in')
    for (const look of LOOKS) {
      await window.look(look)
      expect([look.name, await window.problems()]).toEqual([look.name, []])
    }
    await page.type('input[type=password]', 'sk-wrong')
    await page.keyboard.press('Enter')
    await page.waitForSelector('[role=alert]')
    expect(await window.text()).toContain('Incorrect API key provided')
    await page.$eval('input[type=password]', (input) => (input as { select(): void }).select())
    await page.type('input[type=password]', MASTER_KEY)
    await page.keyboard.press('Enter')
    await page.waitForSelector('::-p-text(Charged by day)')
    expect(new URL(page.url()).pathname + new URL(page.url()).search).toContain('/app/usage?by=model')
    expect(
      JSON.stringify(await page.evaluate('[{...localStorage}, {...sessionStorage}, document.cookie]')),
    ).not.toContain('sk-')
    await window.look(LOOKS[0])
    await page.locator('.frame-side [aria-haspopup=menu]').click()
    await page.locator('::-p-text(Sign out)').click()
    await page.waitForSelector('::-p-text(Sign in with the master key)')
    expect(window.complaints).toEqual(['401 /api/v1/me', '401 /auth/master-key'])
  })
})
