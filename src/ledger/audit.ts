/** Recomputes every balance from the rows, in one snapshot, beside running calls. No findings: the books are right. */
import { sql, type Transaction } from 'kysely'
import type { Database } from '../db/connect.ts'
import type { Tables } from '../db/tables.ts'

export interface Finding {
  finding: string
  org_id: string | null
  user_id: string | null
  call_id: string | null
  /** Decimal credits: what is stored, and what the rows add up to. */
  stored: string | null
  recomputed: string | null
}

export interface AuditReport {
  organizations: number
  charges: number
  openHolds: number
  findings: Finding[]
}

/** How long an answer may take: books of ten million rows take minutes. Connect with it. */
export const AUDIT_PATIENCE_MS = 3_600_000

export async function audit(database: Database): Promise<AuditReport> {
  return database.query
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (transaction) => {
      await sql`set local statement_timeout = 0`.execute(transaction)
      const counts = await readCounts(transaction, null)
      const { rows: findings } = await sql<Finding>`select * from tollgate.ledger_audit()`.execute(transaction)
      return { ...counts, findings }
    })
}

/** @param base sums that hold what was before: its rows are not counted again. */
export async function readCounts(
  runner: Transaction<Tables>,
  base: { until: string; charges: string } | null,
): Promise<Omit<AuditReport, 'findings'>> {
  const later = base === null ? sql`true` : sql`created_at >= ${base.until}::timestamptz`
  const { rows } = await sql<{ organizations: string; charges: string; open_holds: string }>`
    select (select count(*) from organizations) as organizations,
      (select count(*) from credit_usage_attribution where ${later}) as charges,
      (select count(*) from tollgate.ledger_holds where state = 'open') as open_holds`.execute(runner)
  const [row] = rows
  return {
    organizations: Number(row?.organizations ?? 0),
    charges: Number(row?.charges ?? 0) + Number(base?.charges ?? 0),
    openHolds: Number(row?.open_holds ?? 0),
  }
}
