/**
 * npm run clients:python: the product as OpenAI's client for Python sees it. Makes a virtual environment in the temporary directory,
 * installs the pinned client, starts a store, a scripted provider and the product, runs clients.py against them and compares the
 * books with the calls it made. Exit status 1 when a check fails, the books differ, or there is no Python to run.
 */
import { spawn } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createKey } from '../../../src/billing/create-key.ts'
import { createOrganization } from '../../../src/billing/create-organization.ts'
import { connect, type Database } from '../../../src/db/connect.ts'
import { openEmbeddedStore } from '../../../src/db/embedded.ts'
import { migrate } from '../../../src/db/migrate.ts'
import { audit } from '../../../src/ledger/audit.ts'
import { FAILURES, SECRETS } from '../../support/dialect-errors.ts'
import {
  CITIES,
  CUT_TEXT,
  DIALECTS,
  type Dialect,
  dialectModels,
  speakDialects,
  TEXT,
  TOOL,
  TOWN,
} from '../../support/dialects.ts'
import { installPython, NoPython } from '../../support/python.ts'
import { configFor, startTollgate } from '../../support/tollgate.ts'
import { startUpstream } from '../../support/upstream.ts'

const CLIENT = 'openai==3.52.0'
const SCRIPT = fileURLToPath(new URL('./clients.py', import.meta.url))
const ORGANIZATION = 'python'
const CREDITS = 100_000n * 1_000_000n
const ALLOCATED = 10_000n * 1_000_000n

type Ending = 'answered' | 'failed' | 'cut'

/** A line of clients.py. */
interface Check {
  provider: string
  check: string
  calls: Partial<Record<Ending, number>>
  error: string | null
}

type Closer = () => unknown

async function main(): Promise<number> {
  const closers: Closer[] = []
  try {
    const folder = await mkdtemp(join(tmpdir(), 'tollgate-python-'))
    closers.push(() => rm(folder, { recursive: true, force: true }))
    // Run by root, the store's unprivileged user must get through.
    await chmod(folder, 0o711)
    const python = await installPython(join(folder, 'venv'), [CLIENT])
    return await check(python, folder, closers)
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

async function check(python: string, folder: string, closers: Closer[]): Promise<number> {
  const store = await openEmbeddedStore(join(folder, 'data'))
  closers.push(() => store.close())
  await migrate(store.url)
  const database = connect(store.url)
  closers.push(() => database.close())
  const keys = await makeKeys(database)
  const upstream = await startUpstream(speakDialects)
  closers.push(() => upstream.close())
  const config = configFor(upstream.url, {
    models: dialectModels(upstream.url),
    router_settings: { num_retries: 0 },
  })
  const tollgate = await startTollgate({ databaseUrl: store.url, config })
  closers.push(() => tollgate.stop())
  const checks = await runScript(python, { url: `${tollgate.url}/v1`, ...keys })
  const wrong = [...differences(checks, await bookedCalls(database)), ...(await unsettled(database))]
  const made = total(checks, 'answered') + total(checks, 'failed') + total(checks, 'cut')
  if (upstream.tally.calls !== made) wrong.push(`the provider was called ${upstream.tally.calls} times, not ${made}`)
  return report(checks, wrong)
}

/** A user for each dialect, so that the books tell them apart, and one without credits. */
async function makeKeys(database: Database): Promise<Record<string, unknown>> {
  await createOrganization(database, { name: ORGANIZATION, plan: 'platform', credits: CREDITS })
  const keyOf = async (user: string, allocate: bigint) =>
    (await createKey(database, { organization: ORGANIZATION, user, allocate, role: null, name: null })).key
  const dialects: unknown[] = []
  for (const dialect of DIALECTS) dialects.push({ ...dialect, key: await keyOf(dialect.provider, ALLOCATED) })
  return { dialects, poorKey: await keyOf('poor', 0n) }
}

async function runScript(python: string, served: Record<string, unknown>): Promise<Check[]> {
  const child = spawn(python, [SCRIPT], { stdio: ['pipe', 'pipe', 'inherit'] })
  const shared = { text: TEXT, tool: TOOL, cities: CITIES, town: TOWN, cutText: CUT_TEXT }
  child.stdin.end(JSON.stringify({ ...served, ...shared, failures: FAILURES, secrets: SECRETS }))
  const checks: Check[] = []
  for await (const line of createInterface({ input: child.stdout })) checks.push(JSON.parse(line) as Check)
  if (checks.length === 0) throw new Error('clients.py ended before its first check')
  return checks
}

/** `provider outcome provenance credits`, a line a call, sorted. */
async function bookedCalls(database: Database): Promise<string[]> {
  const { rows } = await database.pool.query<{ line: string }>(
    `select concat_ws(' ', user_id, outcome, coalesce(provenance, '-'), credits_used) as line
      from credit_usage_attribution order by 1`,
  )
  return rows.map(({ line }) => line)
}

function differences(checks: readonly Check[], booked: readonly string[]): string[] {
  const expected = checks.flatMap(({ provider, calls }) => {
    const dialect = DIALECTS.find((row) => row.provider === provider)
    if (dialect === undefined) return []
    return (['answered', 'failed', 'cut'] as const).flatMap((ending) =>
      Array<string>(calls[ending] ?? 0).fill(`${provider} ${bookedAs(dialect, ending)}`),
    )
  })
  const left = [...booked]
  const missing = expected.filter((line) => {
    const at = left.indexOf(line)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
  return [...missing.map((line) => `missing in the books: ${line}`), ...left.map((line) => `too much: ${line}`)]
}

function bookedAs({ charge, provenance, cutCharge }: Dialect, ending: Ending): string {
  if (ending === 'failed') return 'failed - 0.000000'
  return ending === 'cut' ? `cut_off estimated ${cutCharge}` : `answered ${provenance} ${charge}`
}

async function unsettled(database: Database): Promise<string[]> {
  const { findings, openHolds } = await audit(database)
  return [
    ...findings.map((finding) => `the audit: ${JSON.stringify(finding)}`),
    ...(openHolds === 0 ? [] : [`${openHolds} calls are still held`]),
  ]
}

function total(checks: readonly Check[], ending: Ending): number {
  return checks.reduce((sum, { calls }) => sum + (calls[ending] ?? 0), 0)
}

function report(checks: readonly Check[], wrong: readonly string[]): number {
  const failed = checks.filter(({ error }) => error !== null)
  for (const { provider, check: name, error } of failed) process.stdout.write(`FAILED ${provider} ${name}\n${error}\n`)
  for (const line of wrong) process.stdout.write(`${line}\n`)
  const passed = checks.length - failed.length
  const money = wrong.length === 0 ? 'the books hold exactly these calls' : `${wrong.length} differences in the books`
  process.stdout.write(`${CLIENT}: ${passed} of ${checks.length} checks passed; ${money}\n`)
  return failed.length + wrong.length === 0 ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  const text = error instanceof NoPython ? error.message : (error as Error).stack
  process.stderr.write(`clients:python: ${text}\n`)
  process.exitCode = 1
}
