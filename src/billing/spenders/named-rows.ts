/** Users, teams, members of teams, customers, organizations and budgets: found and changed by the names their makers gave them. */
import { type RawBuilder, sql, type Transaction } from 'kysely'
import type { Database } from '../../db/connect.ts'
import type { Tables } from '../../db/tables.ts'
import { TollgateError } from '../../http/errors.ts'
import type { Caller } from '../../identity/caller.ts'
import { within } from './place.ts'
import {
  changeRow,
  deleteRow,
  insertRow,
  type NewRow,
  type RowChange,
  type RowKind,
  type SpenderRow,
  selectRows,
} from './rows.ts'

/** Organizations in which an operator finds one name. */
const MOST_OF_A_NAME = 10_000

export type NamedKind = Exclude<RowKind, 'key'>

/** Of the caller's organization first, where an operator's word fits rows of several. @throws {TollgateError} 404. */
export async function findNamed(
  database: Database,
  caller: Caller,
  kind: NamedKind,
  name: string,
): Promise<SpenderRow> {
  const [row] = await findAllNamed(database, caller, kind, [name])
  return row!
}

/** Each of these names once, in their order, in one query. @throws {TollgateError} 404 where one is missing. */
export async function findAllNamed(
  database: Database,
  caller: Caller,
  kind: NamedKind,
  names: readonly string[],
): Promise<SpenderRow[]> {
  const named = sql`${within(caller)} and s.kind = ${kind} and s.name = any(${[...names]})`
  const rows = await selectRows(database, named, { limit: names.length * MOST_OF_A_NAME, offset: 0 })
  const byName = Map.groupBy(rows, ({ name }) => name)
  return [...new Set(names)].map((name) => {
    const found = byName.get(name) ?? []
    const row = found.find(({ org_id }) => org_id === caller.organizationId) ?? found[0]
    if (row !== undefined) return row
    const shown = kind.replace('_', ' ')
    throw new TollgateError(404, `${kind}_not_found`, `There is no such ${shown} among those you may see.`)
  })
}

export function listNamed(
  database: Database,
  caller: Caller,
  kind: NamedKind,
  where: RawBuilder<unknown> = sql`true`,
  page?: { limit: number; offset: number },
): Promise<SpenderRow[]> {
  return selectRows(database, sql`${within(caller)} and s.kind = ${kind} and ${where}`, page)
}

/** @throws {TollgateError} 404, 409. */
export async function makeNamed(database: Database, row: NewRow): Promise<SpenderRow> {
  const id = await database.query.transaction().execute((transaction) => insertRow(transaction, row))
  return rowOf(database, id)
}

/** @throws {TollgateError} 404. */
export async function changeNamed(database: Database, row: SpenderRow, change: RowChange): Promise<SpenderRow> {
  await database.query.transaction().execute((transaction) => changeRow(transaction, row, change))
  return rowOf(database, row.id)
}

export async function rowOf(database: Database, id: string): Promise<SpenderRow> {
  const [row] = await selectRows(database, sql`s.id = ${id}`)
  if (row === undefined) throw new TollgateError(404, 'not_found', 'It was deleted meanwhile.')
  return row
}

/** All or none. */
export async function deleteNamed(database: Database, rows: readonly SpenderRow[]): Promise<void> {
  await database.query.transaction().execute(async (transaction) => {
    for (const row of rows) {
      if (row.kind === 'budget') await requireUnnamed(transaction, row)
      await deleteKeysOf(transaction, row)
      await deleteRow(transaction, row.id)
    }
  })
}

/** Without their user or team, keys would be bounded by less than they were made with. */
async function deleteKeysOf(transaction: Transaction<Tables>, { kind, name, org_id }: SpenderRow): Promise<void> {
  if (kind !== 'user' && kind !== 'team') return
  const whose = kind === 'user' ? sql`s.user_id = ${name}` : sql`s.team = ${name}`
  await sql`
    update tollgate.api_keys k set is_active = false from tollgate.spenders s
    where s.org_id = ${org_id} and s.kind = 'key' and ${whose} and k.id = s.id`.execute(transaction)
  await sql`delete from tollgate.spenders s where s.org_id = ${org_id} and s.kind in ('key', 'team_member') and ${whose}`.execute(
    transaction,
  )
}

async function requireUnnamed(transaction: Transaction<Tables>, { name, org_id }: SpenderRow): Promise<void> {
  const { rows } = await sql`
    select from tollgate.spenders where org_id = ${org_id} and budget = ${name} limit 1`.execute(transaction)
  if (rows.length === 0) return
  throw new TollgateError(409, 'budget_in_use', 'This budget bounds somebody. Give them another one first.', {
    param: 'id',
  })
}
