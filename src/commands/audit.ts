/** `tollgate audit`: exit code 1 when a balance is not what its rows add up to. */
import { embeddedStoreExists } from '../db/embedded.ts'
import { type AuditReport, audit } from '../ledger/audit.ts'
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
    const report = await audit(store.database)
    process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : readable(report))
    return report.findings.length === 0 ? EXIT.ok : EXIT.failed
  } finally {
    await store.close()
  }
}

function readable({ organizations, charges, openHolds, findings }: AuditReport): string {
  const checked = `${organizations} organizations, ${charges} charges, ${openHolds} open holds`
  if (findings.length === 0) return `The books are right: ${checked}.\n`
  const lines = findings.map(({ finding, org_id, user_id, call_id, stored, recomputed }) => {
    const where = [org_id && `organization ${org_id}`, user_id && `user ${user_id}`, call_id && `call ${call_id}`]
      .filter(Boolean)
      .join(', ')
    return `  ${finding}\n    ${where}\n    stored ${stored ?? 'nothing'}, the rows add up to ${recomputed ?? 'nothing'}`
  })
  return `${findings.length} differences in ${checked}:\n${lines.join('\n')}\n`
}
