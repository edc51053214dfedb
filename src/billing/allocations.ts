/** What of an organization's pool each user may spend. Credits are decimal strings. */
import { type Kysely, sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'
import type { Tables } from '../db/tables.ts'
import { TollgateError } from '../http/errors.ts'
import type { ChangeTransaction } from './change.ts'
import { throwRefusal } from './ledger-refusal.ts'

export const RESET_PERIODS = ['daily', 'weekly', 'monthly', 'never'] as const
export type ResetPeriod = (typeof RESET_PERIODS)[number]

/** Times are ISO 8601. */
export interface Allocation {
  id: string
  org_id: string
  user_id: string
  allocated_credits: string
  used_credits: string
  remaining_credits: string
  reset_period: ResetPeriod
  last_reset_date: string
  next_reset_date: string | null
  is_active: boolean
  created_at: string
}

export interface NewAllocation {
  organizationId: string
  userId: string
  /** Decimal credits, added to what the user has; 0 changes the other terms only. */
  credits: string
  /** Null leaves that of an allocation as it is; a new one is reset monthly. */
  resetPeriod: ResetPeriod | null
  notes: string | null
  actor: string
}

/** One allocation with the name of its organization. */
export interface OrganizationAllocation extends Allocation {
  org_name: string
}

const COLUMNS = sql`
  a.id, a.org_id, a.user_id, a.allocated_credits, a.used_credits, a.remaining_credits, a.reset_period,
  ${isoTime('a.last_reset_date')} as last_reset_date, ${isoTime('a.next_reset_date')} as next_reset_date, a.is_active,
  ${isoTime('a.created_at')} as created_at`

/** @throws {TollgateError} 400 for a user who is not a member or a pool that has less, 404 without a pool, 422. */
export async function allocateCredits(transaction: ChangeTransaction, allocation: NewAllocation): Promise<Allocation> {
  const { organizationId, userId, credits, resetPeriod, notes, actor } = allocation
  await requireMember(transaction, organizationId, userId)
  try {
    await sql`select allocate_credits_to_user(${organizationId}, ${userId}, ${credits}::numeric, ${actor})`.execute(
      transaction,
    )
  } catch (error) {
    throwRefusal(error, 400, 'INSUFFICIENT_CREDITS')
  }
  // A period that stays the same goes on: else every allocation would put the next reset off.
  await sql`
    update user_credit_allocations a
    set notes = coalesce(${notes}, a.notes), reset_period = coalesce(${resetPeriod}, a.reset_period),
      next_reset_date = case
        when ${resetPeriod}::varchar is null or ${resetPeriod} = a.reset_period and (a.next_reset_date is not null or ${resetPeriod} = 'never')
          then a.next_reset_date
        else tollgate.ledger_next_date(${resetPeriod}, tollgate.tollgate_now(), tollgate.tollgate_now()) end
    where a.org_id = ${organizationId} and a.user_id = ${userId}`.execute(transaction)
  return findAllocation(transaction, organizationId, userId)
}

/** @throws {TollgateError} 404. */
export async function findAllocation(
  query: Kysely<Tables>,
  organizationId: string,
  userId: string,
): Promise<Allocation> {
  const { rows } = await sql<Allocation>`
    select ${COLUMNS} from user_credit_allocations a where a.org_id = ${organizationId} and a.user_id = ${userId}`.execute(
    query,
  )
  if (rows[0] === undefined) throw new TollgateError(404, 'allocation_not_found', 'No credit allocation found')
  return rows[0]
}

/** Active ones, newest first. */
export async function listAllocations(database: Database, organizationId: string): Promise<Allocation[]> {
  const { rows } = await sql<Allocation>`
    select ${COLUMNS} from user_credit_allocations a where a.org_id = ${organizationId} and a.is_active
    order by a.created_at desc, a.user_id`.execute(database.query)
  return rows
}

/**
 * A user's allocations in active organizations, by the organization's name.
 * @param within only in these, by id; null: in all.
 */
export async function listUserAllocations(
  database: Database,
  userId: string,
  within: readonly string[] | null,
): Promise<OrganizationAllocation[]> {
  const { rows } = await sql<OrganizationAllocation>`
    select ${COLUMNS}, o.name as org_name from user_credit_allocations a join organizations o on o.id = a.org_id
    where a.user_id = ${userId} and o.status = 'active' and (${within === null} or a.org_id = any(${within}::uuid[]))
    order by o.name`.execute(database.query)
  return rows
}

async function requireMember(query: Kysely<Tables>, organizationId: string, userId: string): Promise<void> {
  const member = await query
    .selectFrom('organization_members')
    .select('id')
    .where('org_id', '=', organizationId)
    .where('user_id', '=', userId)
    .executeTakeFirst()
  if (member === undefined) throw new TollgateError(400, 'user_not_member', 'User is not a member of this organization')
}
