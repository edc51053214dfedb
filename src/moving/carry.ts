/**
 * Writes what is to be carried, in the transaction it is given. Balances are those of the comparison; what they are made of goes into the
 * journal and into the rows of use, so that the audit adds up, which is asked before the end.
 */
import { sql, type Transaction } from 'kysely'
import type { Tables } from '../db/tables.ts'
import type { Compared } from './compare-balances.ts'
import { insertRows } from './insert-rows.ts'
import { readCredits } from './read-credits.ts'
import { rowId } from './row-id.ts'
import type { Source } from './source.ts'
import { USE } from './source-columns.ts'
import { ALLOCATION, CHARGE, HISTORY, JOURNAL, MEMBER, ORGANIZATION, POOL, SUBSCRIPTION } from './target-columns.ts'
import {
  allocationRows,
  chargeRow,
  credits,
  historyRows,
  journalRows,
  memberRows,
  organizationRow,
  poolRow,
  subscriptionRows,
  unexplainedUse,
} from './target-rows.ts'

export async function carry(
  transaction: Transaction<Tables>,
  source: Source,
  compared: readonly Compared[],
): Promise<void> {
  const clock = await sql<{ now: string }>`select tollgate.tollgate_now()::text as now`.execute(transaction)
  const now = clock.rows[0]?.now ?? ''
  const insert = (table: Parameters<typeof insertRows>[1], rows: Parameters<typeof insertRows>[2]) =>
    insertRows(transaction, table, rows)
  await insert(
    ORGANIZATION,
    compared.map((one) => organizationRow(one, now)),
  )
  await insert(
    MEMBER,
    compared.flatMap((one) => memberRows(one, now)),
  )
  await insert(
    SUBSCRIPTION,
    compared.flatMap((one) => subscriptionRows(one, now)),
  )
  await insert(
    POOL,
    compared.map((one) => poolRow(one, now)),
  )
  await insert(
    ALLOCATION,
    compared.flatMap((one) => allocationRows(one, now)),
  )
  await insert(
    HISTORY,
    compared.flatMap((one) => historyRows(one, now)),
  )
  await insert(
    JOURNAL,
    compared.flatMap((one) => journalRows(one, now)),
  )
  await insert(
    CHARGE,
    compared.flatMap((one) => unexplainedUse(one, now)),
  )
  await carryUse(transaction, source, compared, now)
  await setDates(transaction, compared)
  await requireRight(transaction, compared)
}

async function carryUse(transaction: Transaction<Tables>, source: Source, compared: readonly Compared[], now: string) {
  const owners = new Map(compared.map(({ organization }) => [organization.theirs, organization]))
  for await (const rows of source.pages('credit_usage_attribution', USE, ['created_at', 'id'])) {
    const charges = rows.flatMap((row) => {
      const owner = owners.get(row.org_id ?? '')
      const allocation = owner?.allocations.get(row.user_id ?? '')
      const { micro } = readCredits(row.credits_used ?? null)
      if (owner === undefined || allocation === undefined || micro < 0n) return []
      return chargeRow(
        { ...row, id: rowId('credit_usage_attribution', row.id ?? ''), credits_used: credits(micro) },
        { organizationId: owner.id, allocationId: allocation.id, now },
      )
    })
    await insertRows(transaction, CHARGE, charges)
  }
}

/** Nothing was ever reset or refreshed there, so what was due is not made up for: the next date of each series is the first to come. */
async function setDates(transaction: Transaction<Tables>, compared: readonly Compared[]): Promise<void> {
  const ids = sql`${compared.map(({ organization }) => organization.id)}::uuid[]`
  await sql`update public.user_credit_allocations set next_reset_date = tollgate.ledger_next_date(reset_period, next_reset_date, tollgate.tollgate_now(), created_at)
    where org_id = any(${ids}) and next_reset_date <= tollgate.tollgate_now()`.execute(transaction)
  await sql`update public.organization_credit_pools set next_refresh_date = tollgate.ledger_next_date('monthly', next_refresh_date, tollgate.tollgate_now(), created_at)
    where org_id = any(${ids}) and next_refresh_date <= tollgate.tollgate_now()`.execute(transaction)
}

async function requireRight(transaction: Transaction<Tables>, compared: readonly Compared[]): Promise<void> {
  const { rows } = await sql<{ finding: string; org_id: string }>`select finding, org_id from tollgate.ledger_audit()
    where org_id = any(${compared.map(({ organization }) => organization.id)}::uuid[])`.execute(transaction)
  if (rows.length === 0) return
  const list = rows.map(({ finding, org_id }) => `${finding} (organization ${org_id})`).join('; ')
  throw new Error(`Nothing was carried: the books would not be right. ${list}`)
}
