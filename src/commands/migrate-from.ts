/** `tollgate migrate-from ops-center`: exit code 1 when its balances do not add up, or when something was not carried. */
import { connect } from '../db/connect.ts'
import type { Finding } from '../moving/finding.ts'
import { type MoveReport, move } from '../moving/move.ts'
import { openSource, type Source, SourceError } from '../moving/source.ts'
import type { RootConfig } from '../vault/root-config.ts'
import { CommandError, EXIT } from './exit.ts'
import { asCommandError, openStore } from './open-store.ts'
import type { Options } from './options.ts'
import { printRows } from './print-rows.ts'
import { requireConfig } from './read-config.ts'
import { requireRootConfig, asCommandError as withRoots } from './root-config.ts'

/** Millions of usage rows take minutes to read. */
const PATIENCE_MS = 3_600_000
/** The most findings of one kind that a terminal shows. */
const SHOWN = 20

export async function migrateFromOpsCenter(options: Options): Promise<number> {
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const config = await requireConfig(options, say)
  const root = await requireRootConfig(options, config, say)
  const source = await openTheirs(options.database)
  try {
    const store = await openStore(options, config, say)
    try {
      const report = await run(options, source, { url: store.url, root })
      process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : readable(report))
      const heeded = report.findings.some(({ kind }) => kind !== 'changed')
      return heeded ? EXIT.failed : EXIT.ok
    } finally {
      await store.close()
    }
  } finally {
    await source.close()
  }
}

async function run(
  { dryRun, coverShortage }: Options,
  source: Source,
  { url, root: { roots, fernetKeys } }: { url: string; root: RootConfig },
): Promise<MoveReport> {
  const database = connect(url, { maxConnections: 2, patienceMs: PATIENCE_MS })
  try {
    return await withRoots(() => move({ source, database, roots, fernetKeys, dryRun, coverShortage }))
  } finally {
    await database.close()
  }
}

async function openTheirs(url: string): Promise<Source> {
  try {
    return await openSource(url)
  } catch (error) {
    if (error instanceof SourceError)
      throw new CommandError(EXIT.database, `--database: ${error.message}.`, { cause: error })
    throw asCommandError(error, { named: '--database' })
  }
}

function readable(report: MoveReport): string {
  const { source, dry_run: dryRun, carried, already_here: already, balances, double_debits: doubles } = report
  const rows = Object.entries(carried).map(([table, count]) => ({
    table,
    [dryRun ? 'would be carried' : 'carried']: count,
  }))
  const pools = balances.map(({ name, there, here }) => ({
    organization: name,
    'total there': there.total,
    here: here.total,
    'allocated there': there.allocated,
    'here ': here.allocated,
    'used there': there.used,
    'here  ': here.used,
    'available there': there.available,
    'here   ': here.available,
  }))
  const taken = doubles.map(({ user, ...rest }) => ({ of: user === null ? 'pool' : 'allocation', ...rest, user }))
  return [
    `${dryRun ? 'Nothing was written. ' : ''}Ops-Center: ${source}\n\n`,
    printRows(rows, ''),
    `\nAlready here: ${already.organizations} organizations, ${already.keys} provider keys\n`,
    section('Balances', printRows(pools, 'No organization is to be carried.')),
    ...(taken.length === 0 ? [] : [section('Deducted more than once', printRows(taken, ''))]),
    ...listed('What does not add up there', report.findings, 'difference'),
    ...listed('Carried otherwise than it is there', report.findings, 'changed'),
    ...listed('Left', report.findings, 'left'),
    ...(report.tables_left.length === 0 ? [] : [section('Tables left', printRows(report.tables_left, ''))]),
  ].join('')
}

function listed(title: string, findings: readonly Finding[], kind: Finding['kind']): string[] {
  const chosen = findings.filter((finding) => finding.kind === kind)
  if (chosen.length === 0) return []
  const codes = [...new Set(chosen.map(({ code }) => code))]
  const rows = codes.flatMap((code) => chosen.filter((one) => one.code === code).slice(0, SHOWN))
  const more = chosen.length - rows.length
  const table = printRows(
    rows.map(({ kind: _, ...row }) => row),
    '',
  )
  return [section(`${title} (${chosen.length})`, more === 0 ? table : `${table}... and ${more} more; --json has all\n`)]
}

function section(title: string, text: string): string {
  return `\n${title}\n${text}`
}
