/**
 * The user a service pays as, and its organization. Its allocation follows the pool (ledger_follow_pool): a service has nobody who
 * would allocate credits to it, so a new one can call as long as its organization has credits that nobody else was given.
 */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isUuid } from '../db/uuid.ts'
import { TollgateError } from '../http/errors.ts'
import { createOrganization } from './create-organization.ts'
import { findOrganization } from './find-organization.ts'

export interface ServiceUser {
  organization: { id: string; name: string }
  user: string
}

/**
 * Makes what is missing; a repeated call changes nothing.
 * @param organization name or id. One that is missing is made, with the plan `platform` and no credits, unless it is given by id.
 * @throws {TollgateError} 404 for an id that no organization has.
 */
export async function ensureServiceUser(database: Database, organization: string, user: string): Promise<ServiceUser> {
  const found = await findOrCreate(database, organization)
  await database.query.transaction().execute(async (transaction) => {
    const known = await transaction
      .selectFrom('user_credit_allocations')
      .select('follows_pool')
      .where('org_id', '=', found.id)
      .where('user_id', '=', user)
      .executeTakeFirst()
    if (known?.follows_pool === true) return
    if (known === undefined)
      await sql`select allocate_credits_to_user(${found.id}, ${user}, 0, 'tollgate service key')`.execute(transaction)
    // What is spent comes from the pool as it is needed, so nothing is to be given back each month.
    await sql`update user_credit_allocations set follows_pool = true, reset_period = 'never', next_reset_date = null
      where org_id = ${found.id} and user_id = ${user}`.execute(transaction)
  })
  return { organization: found, user }
}

async function findOrCreate(database: Database, organization: string): Promise<{ id: string; name: string }> {
  const known = await findOrganization(database.query, organization).catch((error: unknown) => {
    if (isUuid(organization) || !(error instanceof TollgateError)) throw error
    return null
  })
  if (known !== null) return known
  try {
    return await createOrganization(database, { name: organization, plan: 'platform', credits: 0n })
  } catch (error) {
    // Another replica starts at the same time.
    if (error instanceof TollgateError && error.code === 'organization_exists')
      return findOrganization(database.query, organization)
    throw error
  }
}
