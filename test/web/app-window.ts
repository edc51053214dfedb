/** A window of the browser with the app in it: signed in as somebody, and watched for whatever a person would not see. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Browser, Page } from 'puppeteer-core'
import { sessionOf } from '../../src/identity/session/session-data.ts'
import { storedSessions } from '../../src/identity/session/session-store.ts'
import type { TestDatabase } from '../support/database.ts'
import type { Tollgate } from '../support/tollgate.ts'

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

/** Nothing is on its way any more. */
const SETTLED = "document.querySelector('[role=status][aria-label=Loading]') === null"
/** In the browser, whose types the tests do not have. Without the first line, what fades in is text without contrast. */
const LOOK_FOR_PROBLEMS = `Promise.all(document.getAnimations().map((one) => one.finished.catch(() => null)))
  .then(() => axe.run({ runOnly: ${JSON.stringify(RULES)} }))
  .then(({ violations }) => ({ violations, tooWide: document.documentElement.scrollWidth - window.innerWidth }))`

interface Found {
  violations: { id: string; nodes: { target: string[] }[] }[]
  tooWide: number
}

export const LOOKS = [
  { name: 'light', scheme: 'light', width: 1280 },
  { name: 'dark', scheme: 'dark', width: 1280 },
  { name: 'light on a phone', scheme: 'light', width: 390 },
  { name: 'dark on a phone', scheme: 'dark', width: 390 },
] as const
export type Look = (typeof LOOKS)[number]

export interface AppWindow {
  page: Page
  /** Opens a screen; resolves once what it asked of the server is there. */
  open(path: string): Promise<void>
  look(look: Look): Promise<void>
  /** What axe finds on what is shown, a line each. */
  problems(): Promise<string[]>
  /** Errors of the page and whatever its content security policy refused, since it was opened. */
  complaints: readonly string[]
  text(): Promise<string>
}

interface Who {
  userId: string
  isSystemAdmin?: boolean
}

export async function openWindow(browser: Browser, tollgate: Tollgate, db: TestDatabase, who: Who): Promise<AppWindow> {
  // Cookies of its own: several people are signed in at once.
  const context = await browser.createBrowserContext()
  const page = await context.newPage()
  await context.setCookie({
    name: 'session_token',
    value: await sessionFor(db, who),
    domain: new URL(tollgate.url).hostname,
  })
  return watch(page, tollgate.url)
}

export function watch(page: Page, origin: string): AppWindow {
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => {
    // What the server refused is noted below, with its address.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load')) complaints.push(message.text())
  })
  page.on('response', (response) => {
    const { pathname } = new URL(response.url())
    if (response.status() >= 400) complaints.push(`${response.status()} ${pathname}`)
  })
  return {
    page,
    complaints,
    async open(path) {
      await page.goto(`${origin}${path}`)
      await page.waitForSelector('h1')
      await page.waitForFunction(SETTLED)
    },
    async look({ scheme, width }) {
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
      await page.setViewport({ width, height: 860 })
    },
    problems: () => findProblems(page),
    text: async () => String(await page.evaluate('document.body.innerText')),
  }
}

async function sessionFor(db: TestDatabase, { userId, isSystemAdmin = false }: Who): Promise<string> {
  const token = randomBytes(32).toString('base64url')
  const person = { userId, email: `${userId}@example.com`, isSystemAdmin, organizations: null }
  await storedSessions(db.database).save(token, sessionOf(person, 'test', new Date()), 3_600)
  return token
}

async function findProblems(page: Page): Promise<string[]> {
  await page.evaluate(await readFile(AXE, 'utf8'))
  const { violations, tooWide } = (await page.evaluate(LOOK_FOR_PROBLEMS)) as Found
  return [
    ...violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`),
    ...(tooWide > 0 ? [`wider than the window by ${tooWide} pixels`] : []),
  ]
}
