/** A store, a scripted provider, the product, and Python with the clients: what the programs of this folder run against. */
import { spawn } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createKey } from '../../../src/billing/create-key.ts'
import { createOrganization } from '../../../src/billing/create-organization.ts'
import { connect, type Database } from '../../../src/db/connect.ts'
import { openEmbeddedStore } from '../../../src/db/embedded.ts'
import { migrate } from '../../../src/db/migrate.ts'
import { audit } from '../../../src/ledger/audit.ts'
import { installPython, NoPython } from '../../support/python.ts'
import { startTollgate } from '../../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../../support/upstream.ts'
import type { Handler } from '../../support/upstream-answers.ts'

const ORGANIZATION = 'python'
const CREDITS = 100_000n * 1_000_000n

export interface Stand {
  /** Of the product. */
  url: string
  database: Database
  upstream: ScriptedUpstream
  keyOf(user: string, allocate: bigint): Promise<string>
  /** Runs a script with this on its standard input; returns its lines, each of them JSON. */
  run<Line>(script: string, input: unknown): Promise<Line[]>
}

/** Exits with the status that `check` returns, and 1 where it throws or there is no Python. */
export async function withStand(
  packages: readonly string[],
  { provider, configOf }: { provider: Handler; configOf: (upstreamUrl: string) => string },
  check: (stand: Stand) => Promise<number>,
): Promise<void> {
  const closers: (() => unknown)[] = []
  try {
    const folder = await mkdtemp(join(tmpdir(), 'tollgate-python-'))
    closers.push(() => rm(folder, { recursive: true, force: true }))
    // Run by root, the store's unprivileged user must get through.
    await chmod(folder, 0o711)
    const python = await installPython(join(folder, 'venv'), packages)
    const store = await openEmbeddedStore(join(folder, 'data'))
    closers.push(() => store.close())
    await migrate(store.url)
    const database = connect(store.url)
    closers.push(() => database.close())
    await createOrganization(database, { name: ORGANIZATION, plan: 'platform', credits: CREDITS })
    const upstream = await startUpstream(provider)
    closers.push(() => upstream.close())
    const tollgate = await startTollgate({ databaseUrl: store.url, config: configOf(upstream.url) })
    closers.push(() => tollgate.stop())
    process.exitCode = await check({
      url: tollgate.url,
      database,
      upstream,
      keyOf: async (user, allocate) =>
        (await createKey(database, { organization: ORGANIZATION, user, allocate, role: null, name: null })).key,
      run: (script, input) => runScript(python, script, input),
    })
  } catch (error) {
    const text = error instanceof NoPython ? error.message : (error as Error).stack
    process.stderr.write(`clients:python: ${text}\n`)
    process.exitCode = 1
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

async function runScript<Line>(python: string, script: string, input: unknown): Promise<Line[]> {
  const child = spawn(python, [script], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(JSON.stringify(input))
  const lines: Line[] = []
  for await (const line of createInterface({ input: child.stdout })) lines.push(JSON.parse(line) as Line)
  if (lines.length === 0) throw new Error(`${script} ended before its first check`)
  return lines
}

/** Those of `expected` that the books lack, and those they have besides. */
export function differences(expected: readonly string[], booked: readonly string[]): string[] {
  const left = [...booked]
  const missing = expected.filter((line) => {
    const at = left.indexOf(line)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
  return [...missing.map((line) => `missing in the books: ${line}`), ...left.map((line) => `too much: ${line}`)]
}

export async function unsettled(database: Database): Promise<string[]> {
  const { findings, openHolds } = await audit(database)
  return [
    ...findings.map((finding) => `the audit: ${JSON.stringify(finding)}`),
    ...(openHolds === 0 ? [] : [`${openHolds} calls are still held`]),
  ]
}
