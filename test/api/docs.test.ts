/** The page for people, in a real browser: it shows every operation, breaks nowhere, and asks no other host for anything. */
import { existsSync } from 'node:fs'
import puppeteer from 'puppeteer-core'
import { expect, test } from 'vitest'
import { useProduct } from '../support/product.ts'
import { get } from '../support/tollgate.ts'

const product = useProduct()
const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync)
/** In CI a browser that is missing is a failure: nobody reads what was skipped there. */
const isSkipped = CHROMIUM === undefined && process.env.CI === undefined

test.skipIf(isSkipped)('/docs shows every operation, without an error and without asking another host.', async () => {
  const { url } = product.tollgate
  const { paths } = (await get(product.tollgate, null, '/openapi.json')).json() as { paths: Record<string, object> }
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const browser = await puppeteer.launch({ executablePath: CHROMIUM ?? '', args: ['--no-sandbox', '--disable-gpu'] })
  try {
    const page = await browser.newPage()
    const problems: string[] = []
    const requested: string[] = []
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warn') problems.push(message.text())
    })
    page.on('pageerror', (error) => problems.push(String(error)))
    page.on('request', (request) => requested.push(request.url()))
    page.on('response', (response) => {
      if (response.status() >= 400) problems.push(`${response.status()} ${response.url()}`)
    })
    await page.goto(`${url}/docs`)
    await page.waitForSelector('.opblock', { timeout: 20_000 })
    const shown = await page.$$eval('.opblock-summary', (blocks) =>
      blocks.map((block) => {
        const text = (selector: string) => (block.querySelector(selector)?.textContent ?? '').replaceAll('\u200b', '')
        return `${text('.opblock-summary-method')} ${text('.opblock-summary-path')}`
      }),
    )
    expect(shown).toHaveLength(described.length)
    expect(new Set(shown)).toEqual(new Set(described))
    expect(problems).toEqual([])
    expect(requested.filter((address) => !address.startsWith(`${url}/`) && !address.startsWith('data:'))).toEqual([])
    expect(requested).toContain(`${url}/openapi.json`)
  } finally {
    await browser.close()
  }
})

test('Pages allow scripts of this server only, and browsers may keep files forever, under an address that changes with each build.', async () => {
  const docs = await get(product.tollgate, null, '/docs')
  expect(docs.headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'self'; /)
  expect(docs.body).not.toMatch(/<script(?![^>]* src="\/docs\/)|https?:\/\//)
  const files = [...docs.body.matchAll(/(?:href|src)="(\/docs\/[^"]+)"/g)].map((match) => match[1] ?? '')
  expect(files).toHaveLength(3)
  for (const file of files) {
    const { status, headers } = await get(product.tollgate, null, file)
    expect([status, headers.get('cache-control')], file).toEqual([200, 'public, max-age=31536000, immutable'])
  }
  const missing = await get(product.tollgate, null, `${files[0]?.split('/').slice(0, 3).join('/')}/package.json`)
  expect([missing.status, missing.json()]).toMatchObject([404, { error: { code: 'file_not_found' } }])
})
