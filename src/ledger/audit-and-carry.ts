/**
 * An audit that, where it finds nothing, writes down what it found the rows to add up to, up to the beginning of a day; and one that starts
 * from there and reads only what came after. Both are of one snapshot and stop nobody: they take no lock that a call waits for.
 */
import { sql, type Transaction } from 'kysely'
import type { Database } from '../db/connect.ts'
import type { Tables } from '../db/tables.ts'
import { type AuditReport, type Finding, readCounts } from './audit.ts'

export interface Carried {
  /** Rows of before are in the sums: the beginning of a day in UTC, ISO 8601. */
  until: string
  /** SHA-256 over the sums and the digest before, in hexadecimal. */
  digest: string
}

export interface CarryingReport extends AuditReport {
  /** From where rows were read; null: from the first one. */
  since: Carried | null
  /** What the next one may start from; null where nothing was written: findings, or a database that only reads. */
  carried: Carried | null
}

interface LastCarry extends Carried {
  id: string
  charges: string
}

/** Sorts and joins of millions of rows, in memory where they fit in this, else in temporary files. */
const MEMORY = sql`set local work_mem = '64MB'`

/** @param sinceLast starts from the last sums; without any it reads all. */
export function auditAndCarry(database: Database, { sinceLast }: { sinceLast: boolean }): Promise<CarryingReport> {
  return database.query
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (transaction) => {
      await sql`set local statement_timeout = 0`.execute(transaction)
      await MEMORY.execute(transaction)
      const base = sinceLast ? await lastCarry(transaction) : null
      const counts = await readCounts(transaction, base)
      const { rows: findings } = await sql<Finding>`
        select * from tollgate.ledger_audit_from(${base?.id ?? null}::bigint)`.execute(transaction)
      const carried = findings.length === 0 ? await carry(transaction, base) : null
      return { ...counts, findings, since: base === null ? null : { until: base.until, digest: base.digest }, carried }
    })
}

/** The digest that an operator kept from the last audit says that its sums are still those. Null where nothing is carried. */
export async function lastDigest({ query }: Pick<Database, 'query'>): Promise<string | null> {
  return (await lastCarry(query))?.digest ?? null
}

async function lastCarry(runner: Database['query'] | Transaction<Tables>): Promise<LastCarry | null> {
  const { rows } = await sql<LastCarry>`
    select id, charges, to_char(cut_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as until, encode(digest, 'hex') as digest
    from tollgate.ledger_carries order by id desc limit 1`.execute(runner)
  return rows[0] ?? null
}

async function carry(transaction: Transaction<Tables>, base: LastCarry | null): Promise<Carried | null> {
  const { rows: asked } = await sql<{ reads_only: boolean; is_later: boolean; cut: string }>`
    select pg_is_in_recovery() as reads_only, c.cut::text, c.cut > coalesce(${base?.until ?? null}::timestamptz, '-infinity') as is_later
    from (select tollgate.ledger_cut() as cut) c`.execute(transaction)
  const [now] = asked
  if (now === undefined || now.reads_only) return null
  if (!now.is_later) return base === null ? null : { until: base.until, digest: base.digest }
  const { rows } = await sql<Carried>`
    select to_char(cut_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as until, encode(digest, 'hex') as digest
    from tollgate.ledger_carry(${now.cut}::timestamptz, ${base?.id ?? null}::bigint)`.execute(transaction)
  return rows[0] ?? null
}
