/** A real browser: Chromium without a screen. */
import { spawnSync } from 'node:child_process'
import { type Browser, launch } from 'puppeteer-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome']

/** Whether one is there. Where CI is set it must be: a test left out there would look like one that passed. */
export function browserInstalled(): boolean {
  return process.env.CI !== undefined || findBrowser() !== null
}

/** @throws where there is none. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = findBrowser()
  if (executablePath === null) throw new Error(`none of ${NAMES.join(', ')} is installed`)
  // Tests run as root in containers, where Chromium's sandbox does not start; /dev/shm is small there.
  return launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'] })
}

function findBrowser(): string | null {
  for (const name of NAMES) {
    const { status, stdout } = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' })
    if (status === 0) return stdout.trim()
  }
  return null
}
