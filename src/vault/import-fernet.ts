/** Seals what Ops-Center stored as Fernet tokens. A token that does not open stays as it is and is reported. */
import type { Database } from '../db/connect.ts'
import type { Change } from './audit-log.ts'
import type { FernetKey } from './fernet.ts'
import { createKeyOpener, type KeyOpener } from './key-opener.ts'
import { type KeyRow, KINDS, pageOfKeyRows, replaceSealed, subjectOfRow } from './key-rows.ts'
import type { Root } from './root-key.ts'
import { UnreadableKeyError } from './unreadable-key-error.ts'

const PAGE = 200

export interface ImportOptions {
  roots: readonly Root[]
  fernetKeys: readonly FernetKey[]
  change: Change
}

export interface ImportReport {
  imported: number
  unreadable: { key: string; problem: string }[]
}

export async function importFernet(database: Database, options: ImportOptions): Promise<ImportReport> {
  const report: ImportReport = { imported: 0, unreadable: [] }
  const opener = createKeyOpener({ database, ...options })
  for (const kind of KINDS) {
    let after: string | null = ''
    while (after !== null) {
      const page: Awaited<ReturnType<typeof pageOfKeyRows>> = await pageOfKeyRows(
        database.query,
        kind,
        'gAAAA%',
        after,
        PAGE,
      )
      for (const row of page.rows) await importRow(opener, row, options.change, report)
      after = page.last
    }
  }
  return report
}

async function importRow(opener: KeyOpener, row: KeyRow, change: Change, report: ImportReport): Promise<void> {
  try {
    const key = await opener.open(row)
    const replaced = await opener.store(row, key, change, 'key.imported', (transaction, sealed) =>
      replaceSealed(transaction, row, sealed),
    )
    // If nothing was written, somebody stored another key meanwhile.
    if (replaced) report.imported += 1
  } catch (error) {
    if (!(error instanceof UnreadableKeyError)) throw error
    report.unreadable.push({ key: subjectOfRow(row), problem: error.message })
  }
}
