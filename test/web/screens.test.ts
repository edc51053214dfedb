/** Every screen, by role, in a real browser: it opens without a complaint, axe finds nothing on it, and its figures are those of the books. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Browser } from 'puppeteer-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeSignInLink } from '../../src/identity/session/sign-in-links.ts'
import { browserInstalled, startBrowser } from '../support/browser.ts'
import { buildApp } from '../support/built-app.ts'
import { useProduct } from '../support/product.ts'
import { postChat } from '../support/tollgate.ts'
import { chatAnswer } from '../support/upstream-answers.ts'
import { type AppWindow, LOOKS, openWindow, watch } from './app-window.ts'

const SCREENS = [
  '/',
  '/app/keys',
  '/app/calls',
  '/app/usage',
  '/app/usage?by=model&compare=true&scope=organization',
  '/app/models',
  '/app/own-keys',
]

const product = useProduct()
await buildApp()

describe.skipIf(!browserInstalled())('the app in a browser', () => {
  let browser: Browser
  let acme: Awaited<ReturnType<typeof product.db.seedOrganization<'alice' | 'bob'>>>
  /** One each: opening a window takes longer than opening a screen. */
  const windows: Record<string, AppWindow> = {}

  beforeAll(async () => {
    acme = await product.db.seedOrganization({ name: 'acme', credits: 1_000, users: { alice: 500, bob: 100 } })
    await product.db.seedOrganization({ name: 'other', credits: 1_000, users: { mallory: 500 } })
    await product.db.seedOrganization({ name: 'new', credits: 1_000, users: { carol: 500 } })
    // In dollars, half on top: 0.00078795, 0.003375 and 0.000001125.
    await call('alice', 'gpt-4o-mini', 1_234, 567)
    await call('alice', 'gpt-4o', 100, 200)
    await call('bob', 'gpt-4o-mini', 1, 1)
    browser = await startBrowser()
    const open = (userId: string, isSystemAdmin = false) =>
      openWindow(browser, product.tollgate, product.db, { userId, isSystemAdmin })
    windows.owner = await open('alice')
    windows.member = await open('bob')
    windows.operator = await open('the-operator', true)
    windows.stranger = await open('mallory')
  })
  afterAll(() => browser.close())

  async function call(user: 'alice' | 'bob', model: string, input: number, output: number): Promise<void> {
    const usage = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output }
    product.upstream.respond(chatAnswer({ model, usage }))
    const answer = await postChat(product.tollgate, acme.keys[user], {
      model,
      max_tokens: 1_000,
      messages: [{ role: 'user', content: 'x'.repeat(5_000) }],
    })
    expect(answer.status).toBe(200)
  }

  const windowOf = (who: string) => windows[who] ?? expect.fail(`nobody is ${who}`)

  test.each(['owner', 'member', 'operator'])('As the %s every screen opens without a complaint.', async (who) => {
    const window = windowOf(who)
    for (const screen of SCREENS.filter((path) => who !== 'member' || !path.includes('scope='))) {
      await window.open(screen)
      expect([screen, await window.text()]).not.toEqual([screen, expect.stringContaining('That did not work')])
    }
    expect(window.complaints).toEqual([])
  })

  test.each(SCREENS)('axe finds nothing on %s, in light and dark, on a desk and on a phone.', async (screen) => {
    const window = windowOf('owner')
    await window.open(screen)
    for (const look of LOOKS) {
      await window.look(look)
      expect([look.name, await window.problems()]).toEqual([look.name, []])
    }
    await window.look(LOOKS[0])
  })

  test('Usage shows what the books have, to the last digit, and the operator sees everybody’s.', async () => {
    const { rows } = await product.db.pool.query<{ user_id: string; dollars: string }>(
      `select user_id, trim_scale(sum(credits_used) / 1000)::text as dollars from credit_usage_attribution group by 1 order by 1`,
    )
    expect(rows).toEqual([
      { user_id: 'alice', dollars: '0.00416295' },
      { user_id: 'bob', dollars: '0.000001125' },
    ])
    await windowOf('owner').open('/app/usage')
    expect(await windowOf('owner').text()).toContain('$0.00416295')
    await windowOf('owner').open('/app/usage?scope=organization&by=user')
    for (const amount of ['$0.004164075', '$0.00416295', '$0.000001125'])
      expect(await windowOf('owner').text()).toContain(amount)
    await windowOf('operator').open('/app/usage?scope=system&by=model')
    for (const amount of ['$0.004164075', '$0.003375', '$0.000789075'])
      expect(await windowOf('operator').text()).toContain(amount)
    await windowOf('member').open('/app/usage')
    expect(await windowOf('member').text()).toContain('$0.000001125')
  })

  test('Somebody of another organization sees nothing of it by any address.', async () => {
    const window = windowOf('stranger')
    const paths = [...SCREENS, '/app/usage?scope=organization&by=user', '/app/usage?scope=system&by=user']
    for (const path of paths) {
      await window.open(path)
      expect([path, await window.text()]).not.toEqual([path, expect.stringMatching(/alice|bob|acme|0\.0041/)])
    }
  })

  test('A call in full says what it was charged, line by line, as its row in the books.', async () => {
    const { rows } = await product.db.pool.query<{ call_id: string }>(
      `select call_id from credit_usage_attribution where service_name = 'gpt-4o'`,
    )
    const window = windowOf('owner')
    await window.open(`/app/calls/${rows[0]?.call_id}`)
    expect(await window.page.$eval('[data-charge]', ({ textContent }) => textContent)).toBe('Charged $0.003375')
    const cells = await window.page.$$eval('table[aria-label="Price, line by line"] td', (all) =>
      all.map(({ textContent }) => textContent),
    )
    // 100 at $2.50 and 200 at $10 a million.
    expect(cells).toEqual(expect.arrayContaining(['100', '$2.50', '$0.00025', '200', '$10.00', '$0.002']))
    for (const look of LOOKS) {
      await window.look(look)
      expect([look.name, await window.problems()]).toEqual([look.name, []])
    }
    await window.look(LOOKS[0])
    await window.open('/app/calls')
    await window.page.type(
      '::-p-aria([name="Call or request id"][role="textbox"])',
      rows[0]?.call_id.slice(0, 36) ?? '',
    )
    await window.page.waitForFunction("document.querySelectorAll('table[aria-label=Calls] tbody tr').length === 1")
    expect(await window.text()).toContain('$0.003375')
  })

  test('A call of somebody else is said not to exist, whoever has its address.', async () => {
    const { rows } = await product.db.pool.query<{ call_id: string }>(
      `select call_id from credit_usage_attribution where service_name = 'gpt-4o'`,
    )
    const window = windowOf('stranger')
    await window.open(`/app/calls/${rows[0]?.call_id}`)
    await window.page.waitForSelector('[role=alert]')
    expect(await window.text()).toContain('There is no such call among those you may see')
  })

  test('A first run: the link, a key, the curl command, and the call with its price, without a reload.', async () => {
    const page = await (await browser.createBrowserContext()).newPage()
    const window = watch(page, product.tollgate.url)
    const token = await makeSignInLink(product.db.database, 'carol')
    await window.open(`/auth/link?token=${token}`)
    expect(await window.text()).toContain('No calls yet')
    await page.evaluate('window.isTheSame = true')
    await page.locator('::-p-aria([name="Make a key"])').click()
    await page.waitForSelector('input[placeholder="such as billing-service"]')
    await page.type('input[placeholder="such as billing-service"]', 'first')
    await page.keyboard.press('Enter')
    await page.waitForSelector('[data-snippet="the key"]')
    await page.locator('::-p-text(Show a first call with it)').click()
    const sample = 'pre[data-snippet="the sample for curl"]'
    await page.waitForSelector(sample)
    const command = (await page.$eval(sample, ({ textContent }) => textContent)) ?? ''
    expect(command).toMatch(/Bearer sk-[\w-]{32}"/)
    product.upstream.respond(chatAnswer({ usage: { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 } }))
    await promisify(execFile)('sh', ['-c', `${command} -sf`])
    await page.waitForSelector('table[aria-label=Calls] td[data-label=Charged] ::-p-text($0.00)')
    expect(await page.$eval('td[data-label=Charged]', ({ textContent }) => textContent)).toBe('$0.00002025')
    expect(await page.evaluate('window.isTheSame')).toBe(true)
    expect(window.complaints).toEqual([])
  })

  test('The first view travels in less than 200 kB.', async () => {
    const { page, open } = await openWindow(browser, product.tollgate, product.db, { userId: 'alice' })
    const client = await page.createCDPSession()
    await client.send('Network.enable')
    let bytes = 0
    client.on('Network.dataReceived', ({ encodedDataLength }) => {
      bytes += encodedDataLength
    })
    await open('/')
    await page.close()
    expect(bytes).toBeGreaterThan(50_000)
    expect(bytes).toBeLessThan(200_000)
  })

  test('The playground says what a message will cost, and what it was charged once it was sent.', async () => {
    const { page, ...window } = windowOf('member')
    product.upstream.respond(chatAnswer({ usage: { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 } }))
    await window.open('/app/models?model=gpt-4o-mini')
    await page.type('textarea', 'Hello')
    await page.waitForSelector('[data-quote]')
    expect(await page.$eval('[data-quote]', ({ textContent }) => textContent)).toMatch(
      /^Probably \$0\.\d+ \(.+\), at most \$0\.\d+$/,
    )
    await page.locator('button[type=submit]').click()
    await page.waitForSelector('[data-said]')
    // 10 at $0.15 and 20 at $0.60 a million, half on top.
    expect(await page.$eval('[data-said]', ({ textContent }) => textContent)).toMatch(
      /Hello world.*Charged \$0\.00002025/,
    )
  })

  test('A provider key is stored, switched off and deleted; the page never has it again.', async () => {
    const { page, ...window } = windowOf('owner')
    const secret = 'sk-proj-abcdefghijklmnopqrstuvwxyz0123456789'
    await window.open('/app/own-keys')
    await page.locator('::-p-aria([name="Store a key"][role="button"])').click()
    await page.waitForSelector('input[type=password]')
    await page.type('input[type=password]', secret)
    await page.locator('::-p-text(Store it)').click()
    await page.waitForSelector('td[data-label=Key]')
    // What closes still lies over the page for a moment.
    await page.waitForSelector('[role=dialog]', { hidden: true })
    expect(await page.content()).not.toContain(secret)
    await page.focus('input[role=switch]')
    await page.keyboard.press('Space')
    await page.waitForSelector('input[role=switch]:not(:checked)')
    const { rows } = await product.db.pool.query('select provider, enabled from user_provider_keys')
    expect(rows).toEqual([{ provider: 'openai', enabled: false }])
    await page.locator('::-p-aria([name="Delete the key for openai"])').click()
    await page.locator('::-p-aria([name="Delete the key"][role="button"])').click()
    await page.waitForSelector('::-p-text(No provider key is stored)')
    expect((await product.db.pool.query('select from user_provider_keys')).rowCount).toBe(0)
  })
})
