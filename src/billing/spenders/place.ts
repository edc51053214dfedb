/** In which organization something is made or looked for: an operator's may be any, everybody else's is their own. */
import { type RawBuilder, sql, type Transaction } from 'kysely'
import type { Database } from '../../db/connect.ts'
import type { Tables } from '../../db/tables.ts'
import { isUuid } from '../../db/uuid.ts'
import { TollgateError } from '../../http/errors.ts'
import { actorOf, type Caller } from '../../identity/caller.ts'
import { DEFAULT_ORGANIZATION } from '../../identity/standing.ts'

export interface Place {
  id: string
  /** Bounded by budgets alone: whoever is named may spend there, and nothing has to be allocated before. */
  isBudgeted: boolean
}

/** @param organizationId as the body names it. @throws {TollgateError} 403, 404. */
export async function placeOf(database: Database, caller: Caller, organizationId: string | null): Promise<Place> {
  const id = organizationId ?? caller.organizationId
  if (caller.role !== 'system_admin' && id !== caller.organizationId) throw otherOrganization()
  const found = isUuid(id)
    ? await database.query
        .selectFrom('organizations')
        .select(['id', 'name', 'is_budgeted'])
        .where('id', '=', id)
        .where('status', '<>', 'deleted')
        .executeTakeFirst()
    : undefined
  if (found === undefined)
    throw new TollgateError(404, 'organization_not_found', '"organization_id" names no organization.', {
      param: 'organization_id',
    })
  return { id: found.id, isBudgeted: found.is_budgeted || found.name === DEFAULT_ORGANIZATION }
}

/** Of rows `s` of tollgate.spenders, those that a caller may see. */
export function within(caller: Caller): RawBuilder<unknown> {
  return caller.role === 'system_admin' ? sql`true` : sql`s.org_id = ${caller.organizationId}`
}

/**
 * Whoever pays has an allocation. @throws {TollgateError} 400 for a user who is none of an organization that buys its credits.
 */
export async function ensurePayer(
  transaction: Transaction<Tables>,
  place: Place,
  userId: string,
  by: Caller,
): Promise<void> {
  const known = await transaction
    .selectFrom('user_credit_allocations')
    .select('id')
    .where('org_id', '=', place.id)
    .where('user_id', '=', userId)
    .executeTakeFirst()
  if (known !== undefined) return
  if (!place.isBudgeted) await requireMember(transaction, place, userId)
  await sql`select allocate_credits_to_user(${place.id}, ${userId}, 0, ${actorOf(by).slice(0, 255)})`.execute(
    transaction,
  )
}

async function requireMember(transaction: Transaction<Tables>, place: Place, userId: string): Promise<void> {
  const member = await transaction
    .selectFrom('organization_members')
    .select('id')
    .where('org_id', '=', place.id)
    .where('user_id', '=', userId)
    .executeTakeFirst()
  if (member !== undefined) return
  throw new TollgateError(
    400,
    'invalid_request',
    '"user_id" must be the id of a member of the organization. Add them first, with /user/new for one.',
    { param: 'user_id' },
  )
}

function otherOrganization(): TollgateError {
  return new TollgateError(403, 'not_a_member', '"organization_id" must be that of your own organization.', {
    param: 'organization_id',
  })
}
