/** Rows of tollgate.spenders: made, changed, found and listed, each with what it spent by the books. */
import { type RawBuilder, sql, type Transaction } from 'kysely'
import type { Database } from '../../db/connect.ts'
import { sqlState } from '../../db/connect.ts'
import type { Tables } from '../../db/tables.ts'
import { TollgateError } from '../../http/errors.ts'
import { changed, type Settings, type SettingsChange, termsOf } from './settings.ts'

export type RowKind = 'key' | 'user' | 'team' | 'team_member' | 'organization' | 'customer' | 'budget'

/** One budget of a row, or the whole: what was used in the current window. Credits. */
export interface Used {
  model: string | null
  window: string | null
  amount: string | null
  used: string
  held: string
  window_end: Date | null
}

export interface SpenderRow {
  id: string
  org_id: string
  kind: RowKind
  name: string
  user_id: string | null
  team: string | null
  budget: string | null
  is_blocked: boolean
  settings: Settings
  created_by: string | null
  created_at: Date
  updated_at: Date
  /** Those that count: its own, else those of the budget it names. The first is the whole, of all time. */
  used: Used[]
  /** Of a key. */
  key: StoredKey | null
}

export interface StoredKey {
  alias: string | null
  preview: string
  hash: string
  payer: string
  expires_at: string | null
  routes: string[] | null
}

export interface NewRow {
  /** Given where another table has it already. */
  id?: string
  organizationId: string
  kind: RowKind
  name: string
  userId?: string | null
  team?: string | null
  budget?: string | null
  isBlocked?: boolean
  settings: Settings
  by: string
}

/** @throws {TollgateError} 409 where the name is taken. */
export async function insertRow(transaction: Transaction<Tables>, row: NewRow): Promise<string> {
  const { organizationId, kind, name, userId = null, team = null, budget = null, isBlocked = false, settings, by } = row
  if (budget !== null) await requireBudget(transaction, organizationId, budget)
  const terms = termsOf(settings)
  try {
    const { rows } = await sql<{ id: string }>`
      insert into tollgate.spenders (id, org_id, kind, name, user_id, team, budget, is_blocked, settings, created_by, budgets,
        requests_per_minute, tokens_per_minute, calls_at_once, models)
      values (coalesce(${row.id ?? null}::uuid, gen_random_uuid()), ${organizationId}, ${kind}, ${name}, ${userId}, ${team}, ${budget},
        ${isBlocked}, ${JSON.stringify(settings)}, ${by.slice(0, 255)}, ${JSON.stringify(terms.budgets)}, ${terms.requests_per_minute},
        ${terms.tokens_per_minute}, ${terms.calls_at_once}, ${terms.models})
      returning id`.execute(transaction)
    const id = rows[0]!.id
    await writeLimits(transaction, id)
    return id
  } catch (error) {
    if (sqlState(error) !== '23505') throw error
    const shown = JSON.stringify(name.slice(0, 100))
    throw new TollgateError(409, 'already_exists', `There is a ${kind} ${shown} already. Choose another name.`, {
      cause: error,
    })
  }
}

export interface RowChange {
  settings: SettingsChange
  /** Left out: as it is. */
  budget?: string | null | undefined
  isBlocked?: boolean | undefined
  userId?: string | null | undefined
  team?: string | null | undefined
}

/** Only what is named changes. Counts everywhere within a second. */
export async function changeRow(
  transaction: Transaction<Tables>,
  row: Pick<SpenderRow, 'id' | 'org_id'>,
  change: RowChange,
) {
  const { rows } = await sql<{
    settings: Settings
    budget: string | null
    is_blocked: boolean
    user_id: string | null
    team: string | null
  }>`
    select settings, budget, is_blocked, user_id, team from tollgate.spenders where id = ${row.id} for update`.execute(
    transaction,
  )
  const before = rows[0]
  if (before === undefined) throw new TollgateError(404, 'not_found', 'It was deleted meanwhile.')
  const budget = change.budget === undefined ? before.budget : change.budget
  if (budget !== null && budget !== before.budget) await requireBudget(transaction, row.org_id, budget)
  const settings = changed(before.settings, change.settings)
  const terms = termsOf(settings)
  await sql`
    update tollgate.spenders set settings = ${JSON.stringify(settings)}, budget = ${budget},
      is_blocked = ${change.isBlocked ?? before.is_blocked}, budgets = ${JSON.stringify(terms.budgets)},
      user_id = ${change.userId === undefined ? before.user_id : change.userId}, team = ${change.team === undefined ? before.team : change.team},
      requests_per_minute = ${terms.requests_per_minute}, tokens_per_minute = ${terms.tokens_per_minute},
      calls_at_once = ${terms.calls_at_once}, models = ${terms.models}, updated_at = tollgate.tollgate_now()
    where id = ${row.id}`.execute(transaction)
  await writeLimits(transaction, row.id)
}

/** What it spent stays in the books. */
export async function deleteRow(transaction: Transaction<Tables>, id: string): Promise<void> {
  await sql`delete from tollgate.spenders where id = ${id}`.execute(transaction)
}

/** In the transaction of the change; of a budget, for all that name it. */
async function writeLimits(transaction: Transaction<Tables>, id: string): Promise<void> {
  await sql`select tollgate.spender_limits_write(array[${id}]::uuid[])`.execute(transaction)
}

async function requireBudget(transaction: Transaction<Tables>, organizationId: string, name: string): Promise<void> {
  const { rows } = await sql`
    select from tollgate.spenders where org_id = ${organizationId} and kind = 'budget' and name = ${name}`.execute(
    transaction,
  )
  if (rows.length > 0) return
  throw new TollgateError(
    404,
    'budget_not_found',
    '"budget_id" names no budget of this organization. Make it with /budget/new.',
    {
      param: 'budget_id',
    },
  )
}

/** @param where about `s`, the row, and `k`, its key; @param page left out: all. */
export async function selectRows(
  database: Pick<Database, 'query'>,
  where: RawBuilder<unknown>,
  page: { limit: number; offset: number } = { limit: 10_000, offset: 0 },
): Promise<SpenderRow[]> {
  const { rows } = await sql<SpenderRow>`
    select s.id, s.org_id, s.kind, s.name, s.user_id, s.team, s.budget, s.is_blocked, s.settings, s.created_by, s.created_at, s.updated_at,
      case when k.id is not null then jsonb_build_object('alias', k.name, 'preview', k.preview, 'hash', encode(k.key_hash, 'hex'),
        'payer', k.user_id, 'expires_at', k.expires_at, 'routes', to_jsonb(k.routes)) end as key,
      (select jsonb_agg(jsonb_build_object('model', u.model, 'window', u."window", 'amount', u.amount::text, 'used', u.used::text,
          'held', u.held::text, 'window_end', u.window_end))
        from tollgate.spender_used(s.kind, s.id, t.budgets) u) as used
    from tollgate.spenders s
    join tollgate.spender_terms t on t.id = s.id
    left join tollgate.api_keys k on s.kind = 'key' and k.id = s.id
    where ${where}
    order by s.created_at desc, s.id
    limit ${page.limit} offset ${page.offset}`.execute(database.query)
  return rows
}

export async function countRows(database: Pick<Database, 'query'>, where: RawBuilder<unknown>): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from tollgate.spenders s
    left join tollgate.api_keys k on s.kind = 'key' and k.id = s.id where ${where}`.execute(database.query)
  return rows[0]!.count
}
