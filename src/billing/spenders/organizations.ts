/** Organizations as LiteLLM's routes make them: bounded by budgets, nothing is bought in advance, and no markup is added. */
import { sql } from 'kysely'
import { type Database, sqlState } from '../../db/connect.ts'
import { isUuid } from '../../db/uuid.ts'
import { TollgateError } from '../../http/errors.ts'
import type { Caller } from '../../identity/caller.ts'
import { changeNamed, rowOf } from './named-rows.ts'
import { insertRow, type RowChange, type SpenderRow, selectRows } from './rows.ts'
import { changed, type Settings } from './settings.ts'

export interface OrganizationRow {
  id: string
  name: string
  created_at: Date
  /** Null: it has no budget. */
  bounds: SpenderRow | null
}

/** @throws {TollgateError} 409. */
export async function makeOrganization(
  database: Database,
  { name, settings, by }: { name: string; settings: Settings; by: string },
): Promise<OrganizationRow> {
  try {
    const id = await database.query.transaction().execute(async (transaction) => {
      const { id: made } = await transaction
        .insertInto('organizations')
        .values({ name, display_name: name, is_budgeted: true })
        .returning('id')
        .executeTakeFirstOrThrow()
      await transaction
        .insertInto('organization_subscriptions')
        .values({ org_id: made, subscription_plan: 'platform' })
        .execute()
      await sql`
        insert into organization_credit_pools (org_id, allow_overage, overage_limit) values (${made}, true, null)`.execute(
        transaction,
      )
      await insertRow(transaction, { organizationId: made, kind: 'organization', name: made, settings, by })
      return made
    })
    return await find(database, id)
  } catch (error) {
    throw takenOr(error)
  }
}

/** What to throw where a name could not be given. */
function takenOr(error: unknown): unknown {
  if (sqlState(error) !== '23505') return error
  return new TollgateError(409, 'organization_exists', 'Another organization has this "organization_alias".', {
    param: 'organization_alias',
    cause: error,
  })
}

/** @throws {TollgateError} 404, also for one the caller does not belong to. */
export async function findOrganizationRow(database: Database, caller: Caller, id: string): Promise<OrganizationRow> {
  const isOwn = caller.role === 'system_admin' || id === caller.organizationId
  if (!isOwn || !isUuid(id)) throw unknown()
  return find(database, id)
}

async function find(database: Database, id: string): Promise<OrganizationRow> {
  const [row] = await select(database, id)
  if (row === undefined) throw unknown()
  return row
}

/** @param id null: all. */
async function select(database: Database, id: string | null): Promise<OrganizationRow[]> {
  const { rows } = await sql<Omit<OrganizationRow, 'bounds'>>`
    select id, name, created_at from organizations
    where status <> 'deleted' and (${id}::uuid is null or id = ${id}::uuid) order by name`.execute(database.query)
  const bounds = await selectRows(
    database,
    sql`s.kind = 'organization' and (${id}::uuid is null or s.org_id = ${id}::uuid)`,
  )
  return rows.map((row) => ({ ...row, bounds: bounds.find(({ org_id }) => org_id === row.id) ?? null }))
}

export function listOrganizationRows(database: Database, caller: Caller): Promise<OrganizationRow[]> {
  return select(database, caller.role === 'system_admin' ? null : caller.organizationId)
}

/** @param name null: as it is. @throws {TollgateError} 409. */
export async function changeOrganizationRow(
  database: Database,
  row: OrganizationRow,
  asked: { name: string | null; change: RowChange; by: string },
): Promise<OrganizationRow> {
  const { name, change, by } = asked
  if (name !== null) await rename(database, row.id, name)
  if (row.bounds !== null) await changeNamed(database, row.bounds, change)
  else await makeBounds(database, row.id, changed({}, change.settings), by)
  return find(database, row.id)
}

async function rename(database: Database, id: string, name: string): Promise<void> {
  try {
    await database.query.updateTable('organizations').set({ name, display_name: name }).where('id', '=', id).execute()
  } catch (error) {
    throw takenOr(error)
  }
}

async function makeBounds(database: Database, id: string, settings: Settings, by: string): Promise<SpenderRow> {
  const made = await database.query
    .transaction()
    .execute((transaction) =>
      insertRow(transaction, { organizationId: id, kind: 'organization', name: id, settings, by }),
    )
  return rowOf(database, made)
}

/** Its keys are refused everywhere within a second; its books stay. */
export async function deleteOrganizationRows(database: Database, rows: readonly OrganizationRow[]): Promise<void> {
  await database.query.transaction().execute(async (transaction) => {
    for (const { id, name } of rows) {
      // The name is free again.
      await transaction
        .updateTable('organizations')
        .set({ status: 'deleted', name: `${name.slice(0, 200)} ${id}` })
        .where('id', '=', id)
        .execute()
      await transaction.updateTable('tollgate.api_keys').set({ is_active: false }).where('org_id', '=', id).execute()
    }
  })
}

function unknown(): TollgateError {
  return new TollgateError(404, 'organization_not_found', 'There is no such organization among those you may see.', {
    param: 'organization_id',
  })
}
