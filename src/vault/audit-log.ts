/**
 * Who changed what. The entries are written by triggers in the transaction of the change, so a change without its entry can't
 * be committed, whoever makes it; here the transaction is told who that is. Append-only: the table
 * refuses anything else, but for what is older than the operator keeps it.
 */
import { type Selectable, sql, type Transaction } from 'kysely'
import type { Database } from '../db/connect.ts'
import type { AuditLogTable, Tables } from '../db/tables.ts'

export interface Change {
  /** A user's id, or what ran: `tollgate keys rotate`. */
  actor: string
  ip: string | null
  requestId: string | null
}

export type ChangeAction = 'key.saved' | 'key.resealed' | 'key.imported'

export type AuditEntry = Selectable<AuditLogTable>

/** Runs `work` in a transaction whose changes are logged as `change` says. `action` is what a stored key is logged as. */
export function changing<T>(
  database: Database,
  change: Change,
  action: ChangeAction,
  work: (transaction: Transaction<Tables>) => Promise<T>,
): Promise<T> {
  return database.query.transaction().execute(async (transaction) => {
    await logAs(transaction, change, action)
    return work(transaction)
  })
}

/** From here on to its end, changes of this transaction are logged as `change` says. */
export async function logAs(transaction: Transaction<Tables>, change: Change, action: ChangeAction): Promise<void> {
  await sql`select set_config('tollgate.actor', ${storable(change.actor)}, true),
    set_config('tollgate.ip', ${storable(change.ip)}, true),
    set_config('tollgate.request_id', ${storable(change.requestId)}, true),
    set_config('tollgate.action', ${action}, true)`.execute(transaction)
}

/** The newest entries first; `before` is the id of the last one seen. For system administrators. */
export function listAuditEntries(
  database: Database,
  { limit, before = null, subject = null }: { limit: number; before?: string | null; subject?: string | null },
): Promise<AuditEntry[]> {
  let query = database.query
    .selectFrom('tollgate.audit_log')
    .selectAll()
    .orderBy('id', 'desc')
    .limit(Math.min(limit, 1_000))
  if (before !== null) query = query.where('id', '<', before)
  if (subject !== null) query = query.where('subject', '=', subject)
  return query.execute()
}

/** Removes what is older than `days`; short, however much that is: asked every hour, it gets through 24 000 entries a day. */
export async function pruneAuditLog(database: Database, days: number): Promise<void> {
  await sql`select tollgate.audit_log_prune(${days})`.execute(database.query)
}

/** PostgreSQL stores neither NUL nor half of a surrogate pair. */
function storable(text: string | null): string {
  return (text ?? '')
    .toWellFormed()
    .replace(/\p{Cc}/gu, ' ')
    .slice(0, 255)
}
