/** After the faults: waits until the product has put everything right by itself, then lets it go. */
import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { credits } from './check.ts'
import type { Cluster } from './cluster.ts'
import { unfinished } from './read-books.ts'
import { entriesIn, spoolFiles } from './spool-files.ts'

/** Many times what a recovery takes: a lease runs out in two seconds. */
const PATIENCE_MS = 90_000
const LOOK_MS = 250
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** Until nothing is held and no spool of a dead process is left. Returns what was left when patience ran out. */
export async function untilSettled(cluster: Cluster): Promise<string[]> {
  const start = performance.now()
  for (;;) {
    // The connection may be one that broke with the server.
    const { openHolds, held } = await unfinished(cluster.database.pool).catch(() => ({ openHolds: -1, held: 0n }))
    const files = await Promise.all(cluster.slots.map(({ spool }) => spoolFiles(spool)))
    // Each process has one of its own; the others are of dead ones, until they have been adopted.
    const orphans = files.reduce((sum, { length }) => sum + Math.max(0, length - 1), 0)
    if (openHolds === 0 && held === 0n && orphans === 0) return []
    if (performance.now() - start > PATIENCE_MS) {
      return [
        `after ${PATIENCE_MS / 1_000} s ${openHolds} holds of ${credits(held)} are open and ${orphans} spools of dead processes are left`,
      ]
    }
    await sleep(LOOK_MS)
  }
}

/** All of them drain at once, with exit code 0 and an empty spool; then the books are audited as an operator would. */
export async function endProcesses(cluster: Cluster): Promise<string[]> {
  const codes = await Promise.all(cluster.slots.map((slot) => slot.down()))
  const wrongs = codes.flatMap((code, slot) => (code === 0 ? [] : [`proxy ${slot} ended its last drain with ${code}`]))
  for (const { spool } of cluster.slots) {
    for (const file of await spoolFiles(spool)) wrongs.push(`${file} is left with ${entriesIn(file)} entries`)
  }
  const env = { ...process.env, DATABASE_URL: cluster.databaseUrl, SCRIPTED_API_KEY: 'sk-chaos-upstream' }
  const audit = promisify(execFile)(process.execPath, [MAIN, 'audit', '--config', cluster.configFile], { env })
  const failure = await audit.then(
    () => null,
    (error: { stdout?: string; stderr?: string }) => `tollgate audit: ${error.stdout}${error.stderr}`,
  )
  return failure === null ? wrongs : [...wrongs, failure]
}
