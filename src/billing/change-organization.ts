/** An organization is made by people, renamed, suspended. */
import { type Kysely, sql } from 'kysely'
import { tierName } from '../config/tiers.ts'
import type { Database } from '../db/connect.ts'
import { sqlState } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'
import type { Tables } from '../db/tables.ts'
import { TollgateError } from '../http/errors.ts'
import type { ChangeTransaction } from './change.ts'
import { join, type MemberRole } from './members.ts'

/** Times are ISO 8601. */
export interface OrganizationRow {
  id: string
  name: string
  display_name: string | null
  plan_tier: string
  max_seats: number
  status: 'active' | 'suspended' | 'deleted'
  created_at: string
}

export interface MyOrganization extends OrganizationRow {
  /** Null for who is not a member of it: the operator. */
  role: MemberRole | null
  member_count: number
}

export interface Names {
  name?: string
  displayName?: string | null
}

const COLUMNS = sql`o.id, o.name, o.display_name, o.plan_tier, o.max_seats, o.status, ${isoTime('o.created_at')} as created_at`

/**
 * Those the user is a member of, by name.
 * @param within only these, by id; null: every organization, with the user's role where there is one.
 */
export async function listOrganizationsOf(
  database: Database,
  userId: string,
  within: readonly string[] | null,
): Promise<MyOrganization[]> {
  const { rows } = await sql<MyOrganization>`
    select ${COLUMNS}, m.role,
      (select count(*)::int from organization_members n where n.org_id = o.id) as member_count
    from organizations o left join organization_members m on m.org_id = o.id and m.user_id = ${userId}
    where o.status <> 'deleted' and (${within === null} or m.role is not null and o.id = any(${within}::uuid[]))
    order by o.name`.execute(database.query)
  return rows
}

/** With an empty pool and its owner. @throws {TollgateError} 409 for a name that is taken. */
export async function foundOrganization(
  transaction: ChangeTransaction,
  { name, displayName, owner, actor }: { name: string; displayName: string | null; owner: string; actor: string },
): Promise<OrganizationRow> {
  const id = await unlessTaken(name, async () => {
    const { rows } = await sql<{ id: string }>`
      insert into organizations (name, display_name) values (${name}, ${displayName ?? name}) returning id`.execute(
      transaction,
    )
    return rows[0]!.id
  })
  await sql`insert into organization_credit_pools (org_id) values (${id})`.execute(transaction)
  await join(transaction, { organization: id, user: owner, role: 'owner', allocate: 0n }, actor)
  return findRow(transaction, id)
}

/** @throws {TollgateError} 409 for a name that is taken. */
export async function renameOrganization(
  transaction: ChangeTransaction,
  organizationId: string,
  { name, displayName }: Names,
): Promise<OrganizationRow> {
  await unlessTaken(name ?? '', () =>
    sql`
      update organizations set name = coalesce(${name ?? null}, name),
        display_name = case when ${displayName !== undefined} then ${displayName ?? null} else display_name end
      where id = ${organizationId}`.execute(transaction),
  )
  return findRow(transaction, organizationId)
}

/** Calls of a suspended one are refused from the next second on; what runs is finished and charged. */
export async function setOrganizationStatus(
  transaction: ChangeTransaction,
  organizationId: string,
  status: 'active' | 'suspended',
): Promise<OrganizationRow> {
  await transaction.updateTable('organizations').set({ status }).where('id', '=', organizationId).execute()
  return findRow(transaction, organizationId)
}

/** Counts from the next second on; what was called in the day and the month stays counted. */
export async function setOrganizationTier(
  transaction: ChangeTransaction,
  organizationId: string,
  tier: string,
): Promise<OrganizationRow> {
  await sql`update organizations set plan_tier = ${tierName(tier)} where id = ${organizationId}`.execute(transaction)
  return findRow(transaction, organizationId)
}

async function findRow(query: Kysely<Tables>, id: string): Promise<OrganizationRow> {
  const { rows } = await sql<OrganizationRow>`select ${COLUMNS} from organizations o where o.id = ${id}`.execute(query)
  return rows[0]!
}

async function unlessTaken<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    if (sqlState(error) !== '23505') throw error
    const message = `An organization named ${JSON.stringify(name)} exists already.`
    throw new TollgateError(409, 'ALREADY_EXISTS', message, { param: 'name', cause: error })
  }
}
