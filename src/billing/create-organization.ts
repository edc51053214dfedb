/** A new organization with its subscription and pool, all or nothing. */
import { sql } from 'kysely'
import type { Plan } from '../config/config.ts'
import { type Database, sqlState } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import { trimDecimal } from '../metering/money.ts'

export interface NewOrganization {
  name: string
  plan: Plan
  /** Microcredits to start with. */
  credits: bigint
}

export interface CreatedOrganization {
  id: string
  name: string
  plan: Plan
  /** Decimal credits. */
  credits: string
}

/** @throws {TollgateError} 409 when the name is taken. */
export async function createOrganization(
  database: Database,
  { name, plan, credits }: NewOrganization,
): Promise<CreatedOrganization> {
  const amount = trimDecimal(credits, 6)
  try {
    return await database.query.transaction().execute(async (transaction) => {
      const { id } = await transaction
        .insertInto('organizations')
        .values({ name, display_name: name })
        .returning('id')
        .executeTakeFirstOrThrow()
      await transaction
        .insertInto('organization_subscriptions')
        .values({ org_id: id, subscription_plan: plan })
        .execute()
      await sql`select add_credits_to_pool(${id}, ${amount})`.execute(transaction)
      return { id, name, plan, credits: amount }
    })
  } catch (error) {
    if (sqlState(error) !== '23505') throw error
    throw new TollgateError(
      409,
      'organization_exists',
      `An organization named ${JSON.stringify(name)} exists already.`,
      { cause: error },
    )
  }
}
