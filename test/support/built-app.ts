/** The app for browsers, built as it is now: tests must not look at what an older source was built to. */
import { readdirSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const WEB = fileURLToPath(new URL('../../web/', import.meta.url))

/** Builds it where a source is newer than what was built. A clean clone has it from `npm ci`. */
export async function buildApp(): Promise<void> {
  const built = timeOf(`${WEB}dist/index.html`)
  const sources = readdirSync(WEB, { recursive: true, encoding: 'utf8' }).filter((name) => !name.startsWith('dist'))
  if (sources.every((name) => timeOf(`${WEB}${name}`) <= built)) return
  await build({ configFile: `${WEB}vite.config.ts`, logLevel: 'warn' })
}

/** 0 for what is not there. */
function timeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0
}
