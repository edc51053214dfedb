/**
 * Writes what is not here yet, some rows a transaction, so that calls that run meanwhile wait for nobody long. Bounds come before keys,
 * and what stopped in the middle is gone on with by the next run.
 */
import { sql, type Transaction } from 'kysely'
import { insertRow } from '../../billing/spenders/rows.ts'
import type { Database } from '../../db/connect.ts'
import type { Tables } from '../../db/tables.ts'
import { creditsToMicro, trimDecimal } from '../../metering/money.ts'
import { logAs } from '../../vault/audit-log.ts'
import type { Here } from './here.ts'
import type { Plan, PlannedOrganization, PlannedRow } from './plan.ts'

export const ACTOR = 'tollgate migrate-from litellm'
const SOURCE = 'litellm'
const ROWS = 100

export interface Spending extends Pick<PlannedRow, 'id' | 'kind'> {
  window: string | null
  model: string | null
  /** Microcredits. */
  micro: bigint
}

export interface Written {
  /** Microcredits that were added to what keys have used of all time. */
  spentByKeys: bigint
}

/** @param spendings of the rows that this command made, now or before. */
export async function writePlan(
  database: Database,
  plan: Plan,
  here: Here,
  spendings: readonly Spending[],
): Promise<Written> {
  const organizations = plan.organizations.filter(({ id }) => !here.organizations.has(id))
  for (const some of pagesOf(organizations)) await within(database, (one) => writeOrganizations(one, some))
  for (const some of pagesOf(plan.members)) await within(database, (one) => writeMembers(one, some))
  const rows = plan.rows.filter((row) => !here.has(row))
  const byRow = new Map<string, Spending[]>()
  for (const one of spendings) byRow.set(one.id, [...(byRow.get(one.id) ?? []), one])
  let spentByKeys = 0n
  for (const some of pagesOf(rows))
    spentByKeys += await within(database, async (one) => {
      let added = 0n
      for (const row of some) {
        await writeRow(one, row)
        added += await open(one, byRow.get(row.id) ?? [])
      }
      return added
    })
  const written = new Set(rows.map(({ id }) => id))
  for (const some of pagesOf(spendings.filter(({ id }) => !written.has(id))))
    spentByKeys += await within(database, (one) => open(one, some))
  return { spentByKeys }
}

function pagesOf<T>(all: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(all.length / ROWS) }, (_, at) => all.slice(at * ROWS, (at + 1) * ROWS))
}

/** Two moves at once: the second waits, and fails at the first row that the other one made. */
function within<T>(database: Database, work: (transaction: Transaction<Tables>) => Promise<T>): Promise<T> {
  return database.query.transaction().execute(async (transaction) => {
    await sql`select pg_advisory_xact_lock(hashtext(${ACTOR}))`.execute(transaction)
    await logAs(transaction, { actor: ACTOR, ip: null, requestId: null }, 'key.imported')
    return work(transaction)
  })
}

/** Bounded by budgets, as LiteLLM's are: nothing is bought in advance, and no markup is added. */
async function writeOrganizations(transaction: Transaction<Tables>, rows: readonly PlannedOrganization[]) {
  for (const { id, name } of rows) {
    await sql`insert into organizations (id, name, display_name, is_budgeted) values (${id}, ${name}, ${name}, true)`.execute(
      transaction,
    )
    await sql`insert into organization_subscriptions (org_id, subscription_plan) values (${id}, 'platform')`.execute(
      transaction,
    )
    await sql`insert into organization_credit_pools (org_id, allow_overage, overage_limit) values (${id}, true, null)`.execute(
      transaction,
    )
  }
}

async function writeMembers(transaction: Transaction<Tables>, rows: Plan['members']): Promise<void> {
  for (const { organizationId, userId, role } of rows) {
    await sql`insert into organization_members (org_id, user_id, role) values (${organizationId}, ${userId}, ${role})
      on conflict (org_id, user_id) do nothing`.execute(transaction)
    await sql`update organizations set max_seats = greatest(max_seats, (select count(*) from organization_members where org_id = ${organizationId}))
      where id = ${organizationId}`.execute(transaction)
  }
}

async function writeRow(transaction: Transaction<Tables>, row: PlannedRow): Promise<void> {
  const { id, organizationId, kind, name, userId, team, budget, isBlocked, settings, payer, key } = row
  if (payer !== null)
    await sql`select allocate_credits_to_user(${organizationId}, ${payer}, 0, ${ACTOR})
      where not exists (select from user_credit_allocations where org_id = ${organizationId} and user_id = ${payer})`.execute(
      transaction,
    )
  if (key !== null)
    await sql`
      insert into tollgate.api_keys (id, kind, key_hash, preview, name, org_id, user_id, is_active, expires_at, created_by, routes)
      values (${id}, 'virtual_key', ${key.hash}, ${key.preview}, ${key.alias}, ${organizationId}, ${payer}, ${!isBlocked},
        ${key.expiresAt}, ${ACTOR}, ${key.routes === null ? null : [...key.routes]})`.execute(transaction)
  const bounds = { kind, name, userId, team, budget, isBlocked, settings }
  await insertRow(transaction, { id, organizationId, ...bounds, by: ACTOR })
}

/** In the order in which everybody locks limits. Returns what was added to what keys used of all time. */
async function open(transaction: Transaction<Tables>, spendings: readonly Spending[]): Promise<bigint> {
  const kindOf = ({ kind, window, model }: Spending) => (window === null && model === null ? kind : `${kind}_budget`)
  const idOf = ({ id, window, model }: Spending) => `${id}/${window ?? ''}:${model ?? ''}`
  const sorted = spendings.toSorted((a, b) => compare(kindOf(a), kindOf(b)) || compare(idOf(a), idOf(b)))
  let ofKeys = 0n
  for (const { id, kind, window, model, micro } of sorted) {
    const { rows } = await sql<{ added: string }>`
      select tollgate.spender_open(${kind}, ${id}, ${window}, ${model}, ${trimDecimal(micro, 6)}, ${SOURCE}) as added`.execute(
      transaction,
    )
    if (kind === 'key' && window === null && model === null) ofKeys += creditsToMicro(rows[0]?.added ?? '0')
  }
  return ofKeys
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
