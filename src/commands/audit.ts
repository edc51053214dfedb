/** `tollgate audit`: exit code 1 when a balance differs from the sum of its rows, or what the last audit wrote down is not what it was. */
import { connect, type Database } from '../db/connect.ts'
import { embeddedStoreExists } from '../db/embedded.ts'
import { AUDIT_PATIENCE_MS, type AuditReport, audit } from '../ledger/audit.ts'
import { auditAndCarry, type CarryingReport, lastDigest } from '../ledger/audit-and-carry.ts'
import { databaseConfig } from './database-config.ts'
import { CommandError, EXIT } from './exit.ts'
import { openStore } from './open-store.ts'
import type { Options } from './options.ts'

export async function auditBooks(options: Options): Promise<number> {
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const config = await databaseConfig(options, say)
  const embedded = !(options.env.DATABASE_URL || config.databaseUrl)
  if (embedded && !(await embeddedStoreExists(options.dataDir))) {
    throw new CommandError(
      EXIT.database,
      `There are no books in ${options.dataDir}. Name another folder with --data-dir.`,
    )
  }
  const store = await openStore(options, config, say)
  try {
    const report = await patiently(store.url, async (database) => {
      await expectDigest(database, options.digest)
      return auditAndCarry(database, { sinceLast: options.sinceLast })
    })
    process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : readable(report))
    if (!options.json) for (const line of carriedLines(report)) say(line)
    return report.findings.length === 0 ? EXIT.ok : EXIT.failed
  } finally {
    await store.close()
  }
}

/** Writes nothing. */
export function auditPatiently(url: string): Promise<AuditReport> {
  return patiently(url, audit)
}

/** On a connection that waits as long as the books need. */
async function patiently<Report>(url: string, work: (database: Database) => Promise<Report>): Promise<Report> {
  const database = connect(url, { maxConnections: 1, patienceMs: AUDIT_PATIENCE_MS })
  try {
    return await work(database)
  } finally {
    await database.close()
  }
}

/** @throws {CommandError} */
async function expectDigest(database: Database, expected: string | null): Promise<void> {
  if (expected === null) return
  const stored = await lastDigest(database)
  if (stored === expected) return
  const found = stored === null ? 'No sums are carried' : `The sums that are carried have the digest ${stored}`
  throw new CommandError(
    EXIT.failed,
    `${found}, not ${expected}: another audit wrote them since, or somebody changed them. Run tollgate audit without --expect and --since-last.`,
  )
}

/** What an audit looked at: `2 organizations, 1 charge, 0 open holds`. */
export function checkedBy({ organizations, charges, openHolds }: AuditReport): string {
  const count = (n: number, one: string) => `${n} ${one}${n === 1 ? '' : 's'}`
  return `${count(organizations, 'organization')}, ${count(charges, 'charge')}, ${count(openHolds, 'open hold')}`
}

/** From where rows were read, and what the next audit may start from. */
function carriedLines({ findings, since, carried }: CarryingReport): string[] {
  return [
    ...(since === null
      ? []
      : [`Rows were read from ${since.until} on; what came before is in the sums with the digest ${since.digest}.`]),
    ...(since === null || findings.length === 0 ? [] : ['Run tollgate audit to read all rows.']),
    ...(carried === null
      ? []
      : [`tollgate audit --since-last starts from ${carried.until}, digest ${carried.digest}.`]),
  ]
}

function readable(report: AuditReport): string {
  const { findings } = report
  const checked = checkedBy(report)
  if (findings.length === 0) return `The books are right: ${checked}.\n`
  const lines = findings.map(({ finding, org_id, user_id, call_id, stored, recomputed }) => {
    const where = [org_id && `organization ${org_id}`, user_id && `user ${user_id}`, call_id && `call ${call_id}`]
      .filter(Boolean)
      .join(', ')
    return `  ${finding}\n    ${where}\n    stored ${stored ?? 'nothing'}, the rows add up to ${recomputed ?? 'nothing'}`
  })
  return `${findings.length} ${findings.length === 1 ? 'difference' : 'differences'} in ${checked}:\n${lines.join('\n')}\n`
}
