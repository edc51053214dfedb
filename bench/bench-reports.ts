/**
 * Reports over years of books: the median and the plan of each, on ten million rows of charges (--rows). And what the sums by day cost
 * a call: CPU of PostgreSQL for holds and settlements, with the trigger that writes them and without, in turns.
 */
import { readFile } from 'node:fs/promises'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import type { Database } from '../src/db/connect.ts'
import type { Tables } from '../src/db/tables.ts'
import { monthlyStatement } from '../src/reports/statement.ts'
import { type Dimension, type UsageFilter, usageBy, usageTotal } from '../src/reports/usage-by.ts'
import { closeBatch, holdBatch } from '../test/support/books.ts'
import { fillUsage } from './fill-usage.ts'
import type { BenchmarkContext, Report } from './report.ts'
import { type SeededPayer, seed } from './seed.ts'
import { spread, table } from './table.ts'
import { judge, showVerdicts } from './verdict.ts'

const MEDIAN_TARGET_MS = 50
const COST_TARGET_PERCENT = 10
const RUNS = 21
const TURNS = 30
const BATCHES = 10
/** Tables of the books that no report may read whole. */
const LARGE = /Seq Scan on (?:\w+\.)?(?:credit_usage_attribution|usage_days|usage_organization_days|ledger_journal)\b/

interface Measured {
  name: string
  milliseconds: number[]
  scans: string
}

export async function benchReports({ options, workspace, progress }: BenchmarkContext): Promise<Report> {
  progress.show('starting PostgreSQL')
  const { url, client } = await workspace.openDatabase()
  const payers = await seed(client, options.organizations, '1000000000')
  const cost = await costOfSums(client, payers, (turn) => progress.show(`the cost of a call: turn ${turn} of ${TURNS}`))
  await fillUsage(client, payers, options.rows, (filled) => progress.show(`${filled} of ${options.rows} rows`))
  const asked: { sql: string; parameters: readonly unknown[] }[] = []
  const pool = new pg.Pool({ connectionString: url, max: 1 })
  workspace.defer(() => pool.end())
  const query = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool }),
    log: ({ query: { sql, parameters } }) => void asked.push({ sql, parameters }),
  })
  const database: Database = { query, pool, close: async () => {} }
  const measured: Measured[] = []
  for (const [name, run] of reportsOf(database, payers[0]!.organizationId)) {
    progress.show(name)
    asked.length = 0
    await run()
    const plans = await Promise.all(asked.map(({ sql, parameters }) => planOf(pool, sql, parameters)))
    const milliseconds: number[] = []
    for (let i = 0; i < RUNS; i += 1) {
      const start = performance.now()
      await run()
      milliseconds.push(performance.now() - start)
    }
    measured.push({ name, milliseconds, scans: plans.map(scansOf).join('; ') })
  }
  progress.show('checking the books')
  const { rows: findings } = await client.query('select * from tollgate.ledger_audit()')
  const verdicts = judge([
    ...measured.map(({ name, milliseconds }) => ({
      what: name,
      measured: milliseconds,
      unit: ' ms',
      atMost: MEDIAN_TARGET_MS,
    })),
    {
      what: 'sums by day: CPU of holds and settlements added',
      measured: cost,
      unit: ' %',
      atMost: COST_TARGET_PERCENT,
    },
  ])
  const rows = measured.map(({ name, milliseconds, scans }) => [name, spread(milliseconds), scans])
  return {
    sections: [table([`report, ${options.rows} rows`, 'ms: median (min-max)', 'reads'], rows), showVerdicts(verdicts)],
    verdicts,
    figures: { measured, cost },
    problems: [
      ...measured
        .filter(({ scans }) => LARGE.test(scans))
        .map(({ name, scans }) => `${name} reads a table whole: ${scans}`),
      ...findings.map((finding) => JSON.stringify(finding)),
    ],
  }
}

function reportsOf(database: Database, organizationId: string): [name: string, run: () => Promise<unknown>][] {
  const page = { limit: 100, after: null }
  const month = { from: '2030-06-01', until: '2030-07-01' }
  const year = { from: '2030-01-01', until: '2031-01-01' }
  const by =
    (filter: UsageFilter, ...dimensions: Dimension[]) =>
    () =>
      usageBy(database, filter, dimensions, page)
  const own = { organizationId, userId: 'user-3' }
  return [
    ['user, present month, total', () => usageTotal(database, { ...month, ...own })],
    ['user, year, by month and model', by({ ...year, ...own }, 'month', 'model')],
    ['organization, month, by user', by({ ...month, organizationId }, 'user')],
    ['organization, month, by day and model', by({ ...month, organizationId }, 'day', 'model')],
    ['organization, month, by key', by({ ...month, organizationId }, 'key')],
    ['organization, year, by month', by({ ...year, organizationId }, 'month')],
    ['organization, year, by user', by({ ...year, organizationId }, 'user')],
    ['system, month, by organization', by(month, 'organization')],
    ['system, month, by day, provider and model', by(month, 'day', 'provider', 'model')],
    ['statement of a month', () => monthlyStatement(database, organizationId, '2030-06-01')],
  ]
}

async function planOf(pool: pg.Pool, sql: string, parameters: readonly unknown[]): Promise<string> {
  const { rows } = await pool.query<{ 'QUERY PLAN': string }>(`explain ${sql}`, [...parameters])
  return rows.map((row) => row['QUERY PLAN']).join('\n')
}

/** How each table is read: `Index Scan using usage_days_pkey on usage_days`. */
function scansOf(plan: string): string {
  const scans = plan.match(/(?:Seq Scan|Index(?: Only)? Scan using \w+|Bitmap Heap Scan) on \w+/g) ?? []
  return [...new Set(scans)].join(', ')
}

/** Per cent of PostgreSQL's CPU that the sums add to batches of holds and settlements, one figure a turn. */
async function costOfSums(
  client: pg.Client,
  payers: readonly SeededPayer[],
  progress: (turn: number) => void,
): Promise<number[]> {
  const { rows: [backend] = [] } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const turn = async (isOn: boolean) => {
    await client.query(
      `alter table credit_usage_attribution ${isOn ? 'enable' : 'disable'} trigger credit_usage_attribution_counted`,
    )
    const before = await cpuOf(backend!.pid)
    for (let i = 0; i < BATCHES; i += 1) await callBatch(client, payers, i)
    return (await cpuOf(backend!.pid)) - before
  }
  await turn(true)
  const figures: number[] = []
  for (let i = 0; i < TURNS; i += 1) {
    progress(i + 1)
    const first = i % 2 === 0
    const one = await turn(first)
    const other = await turn(!first)
    const [on, off] = first ? [one, other] : [other, one]
    figures.push((on / off - 1) * 100)
  }
  // Charges that were booked without their sums get them now.
  await client.query('alter table credit_usage_attribution enable trigger credit_usage_attribution_counted')
  await client.query('truncate tollgate.usage_deltas, tollgate.usage_days, tollgate.usage_organization_days')
  return figures
}

/** 64 calls of as many users in one batch of holds and one of settlements. */
async function callBatch(client: pg.Client, payers: readonly SeededPayer[], place: number): Promise<void> {
  const { organizationId, userId } = payers[place % payers.length]!
  const calls = Array.from({ length: 64 }, () => ({ user: userId, output: 1 }))
  const held = await holdBatch(client, organizationId, calls)
  await closeBatch(
    client,
    organizationId,
    held.map(({ callId }) => ({ callId, charge: 0.5, user: userId })),
  )
}

/** Nanoseconds that a process was on a CPU. */
async function cpuOf(pid: number): Promise<number> {
  return Number((await readFile(`/proc/${pid}/schedstat`, 'utf8')).split(' ')[0])
}
