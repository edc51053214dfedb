/**
 * npm run clients:python: the product as OpenAI's client for Python sees it. Makes a virtual environment in the temporary directory,
 * installs the pinned client, starts a store, a scripted provider and the product, runs clients.py against them and compares the
 * books with the calls it made. Exit status 1 when a check fails, the books differ, or there is no Python to run.
 */
import { fileURLToPath } from 'node:url'
import type { Database } from '../../../src/db/connect.ts'
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
import { configFor } from '../../support/tollgate.ts'
import { differences, type Stand, unsettled, withStand } from './stand.ts'

const CLIENT = 'openai==3.52.0'
const SCRIPT = fileURLToPath(new URL('./clients.py', import.meta.url))
const ALLOCATED = 10_000n * 1_000_000n

type Ending = 'answered' | 'failed' | 'cut'

/** A line of clients.py. */
interface Check {
  provider: string
  check: string
  calls: Partial<Record<Ending, number>>
  error: string | null
}

async function check(stand: Stand): Promise<number> {
  const { url, database, upstream } = stand
  const shared = { text: TEXT, tool: TOOL, cities: CITIES, town: TOWN, cutText: CUT_TEXT }
  const told = { ...(await makeKeys(stand)), ...shared, failures: FAILURES, secrets: SECRETS }
  const checks = await stand.run<Check>(SCRIPT, { url: `${url}/v1`, ...told })
  const wrong = [...differences(expectedCalls(checks), await bookedCalls(database)), ...(await unsettled(database))]
  const made = total(checks, 'answered') + total(checks, 'failed') + total(checks, 'cut')
  if (upstream.tally.calls !== made) wrong.push(`the provider was called ${upstream.tally.calls} times, not ${made}`)
  return report(checks, wrong)
}

/** A user for each dialect, so that the books tell them apart, and one without credits. */
async function makeKeys({ keyOf }: Stand): Promise<Record<string, unknown>> {
  const dialects: unknown[] = []
  for (const dialect of DIALECTS) dialects.push({ ...dialect, key: await keyOf(dialect.provider, ALLOCATED) })
  return { dialects, poorKey: await keyOf('poor', 0n) }
}

/** `provider outcome provenance credits`, a line a call, sorted. */
async function bookedCalls(database: Database): Promise<string[]> {
  const { rows } = await database.pool.query<{ line: string }>(
    `select concat_ws(' ', user_id, outcome, coalesce(provenance, '-'), credits_used) as line
      from credit_usage_attribution order by 1`,
  )
  return rows.map(({ line }) => line)
}

function expectedCalls(checks: readonly Check[]): string[] {
  return checks.flatMap(({ provider, calls }) => {
    const dialect = DIALECTS.find((row) => row.provider === provider)
    if (dialect === undefined) return []
    return (['answered', 'failed', 'cut'] as const).flatMap((ending) =>
      Array<string>(calls[ending] ?? 0).fill(`${provider} ${bookedAs(dialect, ending)}`),
    )
  })
}

function bookedAs({ charge, provenance, cutCharge }: Dialect, ending: Ending): string {
  if (ending === 'failed') return 'failed - 0.000000'
  return ending === 'cut' ? `cut_off estimated ${cutCharge}` : `answered ${provenance} ${charge}`
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

await withStand(
  [CLIENT],
  {
    provider: speakDialects,
    configOf: (url) => configFor(url, { models: dialectModels(url), router_settings: { num_retries: 0 } }),
  },
  check,
)
