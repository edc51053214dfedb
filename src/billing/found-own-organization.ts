/** An organization of one, for somebody who belongs to none. Its name is the user's id, so that there is one for each. */
import { sql } from 'kysely'
import { TollgateError } from '../http/errors.ts'
import type { ChangeTransaction } from './change.ts'
import { foundOrganization, type OrganizationRow } from './change-organization.ts'

/** Longer ids are no names. */
const NAME_MAX = 200

/** @throws {TollgateError} 409 for who belongs to an organization already. */
export async function foundOwnOrganization(
  transaction: ChangeTransaction,
  userId: string,
  displayName: string | null,
): Promise<OrganizationRow> {
  const { rows } = await sql`
    select from organization_members m join organizations o on o.id = m.org_id
    where m.user_id = ${userId} and o.status <> 'deleted' limit 1`.execute(transaction)
  if (rows.length > 0) throw new TollgateError(409, 'ALREADY_EXISTS', 'You belong to an organization already')
  const name = `user:${userId}`.slice(0, NAME_MAX)
  return foundOrganization(transaction, { name, displayName, owner: userId, actor: userId })
}
