/** What an operator looks at and changes of organizations. Credits are decimal strings. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { sqlState } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import { trimDecimal } from '../metering/money.ts'
import { findOrganization } from './find-organization.ts'

export interface OrganizationSummary {
  id: string
  name: string
  status: string
  /** Null for one without a subscription. */
  plan: string | null
  members: number
  /** In the pool: all there ever were, handed to users, spent, set aside for calls that run. */
  total: string
  allocated: string
  used: string
  held: string
}

/** In the order of their names, without deleted ones. */
export function listOrganizations(database: Database): Promise<OrganizationSummary[]> {
  return summaries(database, null)
}

async function summaries(database: Database, id: string | null): Promise<OrganizationSummary[]> {
  const { rows } = await sql<OrganizationSummary>`
    select o.id, o.name, o.status, s.subscription_plan as plan,
      (select count(*)::int from organization_members m where m.org_id = o.id) as members,
      trim_scale(p.total_credits)::text as total, trim_scale(p.allocated_credits)::text as allocated,
      trim_scale(p.used_credits)::text as used, trim_scale(p.held_credits)::text as held
    from organizations o
    join organization_credit_pools p on p.org_id = o.id
    left join lateral (
      select subscription_plan from organization_subscriptions
      where org_id = o.id order by (status in ('active', 'trialing')) desc, created_at desc limit 1) s on true
    where o.status <> 'deleted' and (${id}::uuid is null or o.id = ${id}::uuid)
    order by o.name`.execute(database.query)
  return rows
}

/** @throws {TollgateError} 404. */
export async function showOrganization(database: Database, nameOrId: string): Promise<OrganizationSummary> {
  const { id } = await findOrganization(database.query, nameOrId)
  const [found] = await summaries(database, id)
  if (found === undefined)
    throw new TollgateError(404, 'organization_not_found', `The organization ${JSON.stringify(nameOrId)} was deleted.`)
  return found
}

/** Calls of a suspended one are refused from the next second on. @throws {TollgateError} 404. */
export async function setStatus(
  database: Database,
  nameOrId: string,
  status: 'active' | 'suspended',
): Promise<OrganizationSummary> {
  const { id } = await findOrganization(database.query, nameOrId)
  await database.query
    .updateTable('organizations')
    .set({ status })
    .where('id', '=', id)
    .where('status', '<>', 'deleted')
    .execute()
  return showOrganization(database, id)
}

/** @param credits microcredits. @throws {TollgateError} 404, 400. */
export async function addCredits(database: Database, nameOrId: string, credits: bigint): Promise<OrganizationSummary> {
  const { id } = await findOrganization(database.query, nameOrId)
  try {
    await sql`select add_credits_to_pool(${id}, ${trimDecimal(credits, 6)})`.execute(database.query)
  } catch (error) {
    if (sqlState(error) !== 'P0001') throw error
    throw new TollgateError(400, 'credits_refused', (error as Error).message, { cause: error })
  }
  return showOrganization(database, id)
}
