/** The app for browsers, built as it is now: tests must not look at what an older source was built to. */
import { execFile } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const WEB = fileURLToPath(new URL('../../web/', import.meta.url))

/** Builds it where a source is newer than what was built. A clean clone has it from `npm ci`. */
export async function buildApp(): Promise<void> {
  const built = timeOf(`${WEB}dist/index.html`)
  const sources = readdirSync(WEB, { recursive: true, encoding: 'utf8' }).filter(
    (name) => /\.(?:tsx?|css|html)$/.test(name) && !name.startsWith('dist') && !name.endsWith('schema.d.ts'),
  )
  if (sources.every((name) => timeOf(`${WEB}${name}`) <= built)) return
  // In a process of its own: tests run with a NODE_ENV with which React would be built for development.
  await promisify(execFile)(process.execPath, [`${WEB}build/prepare.js`], {
    env: { ...process.env, NODE_ENV: 'production' },
  })
}

/** 0 for what is not there. */
function timeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0
}
