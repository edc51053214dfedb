/** Which organization a user of several acts in and pays from, where a request names none. */

import { TollgateError } from '../http/errors.ts'
import type { ChangeTransaction } from './change.ts'

/** Every other organization of the user stops being the default one. @throws {TollgateError} 404 where the user is no member. */
export async function setDefaultOrganization(
  transaction: ChangeTransaction,
  organizationId: string,
  userId: string,
): Promise<void> {
  // Locked first, in one order: at any time one of a user's memberships is the default one, and an index says so.
  const memberships = await transaction
    .selectFrom('organization_members')
    .select('org_id')
    .where('user_id', '=', userId)
    .orderBy('org_id')
    .forUpdate()
    .execute()
  if (!memberships.some(({ org_id }) => org_id === organizationId))
    throw new TollgateError(404, 'member_not_found', 'User is not a member of this organization')
  const ofUser = transaction.updateTable('organization_members').where('user_id', '=', userId)
  await ofUser.set({ is_default: false }).where('is_default', '=', true).execute()
  await ofUser.set({ is_default: true }).where('org_id', '=', organizationId).execute()
}
