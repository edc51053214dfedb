/** Recomputes every balance from the rows, in one snapshot, beside running calls. No findings: the books are right. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

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
      const counts = await sql<{ organizations: string; charges: string; open_holds: string }>`
        select (select count(*) from organizations) as organizations,
          (select count(*) from credit_usage_attribution) as charges,
          (select count(*) from tollgate.ledger_holds where state = 'open') as open_holds`.execute(transaction)
      const findings = await sql<Finding>`select * from tollgate.ledger_audit()`.execute(transaction)
      const row = counts.rows[0]
      return {
        organizations: Number(row?.organizations ?? 0),
        charges: Number(row?.charges ?? 0),
        openHolds: Number(row?.open_holds ?? 0),
        findings: findings.rows,
      }
    })
}
