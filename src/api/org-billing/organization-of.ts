/** Finds the organization or subscription that a path names, for callers who may act there. */
import { findSubscriptionById } from '../../billing/subscriptions.ts'
import type { Database } from '../../db/connect.ts'
import { isUuid } from '../../db/uuid.ts'
import { TollgateError } from '../../http/errors.ts'
import type { Caller } from '../../identity/caller.ts'
import { type Permission, requirePermission } from '../../identity/permissions.ts'

/**
 * An id that is not a UUID names no organization.
 * @param message what was not found, in the words that callers know.
 * @throws {TollgateError} 404.
 */
export async function requireOrganization(
  database: Database,
  id: string,
  message = 'Organization not found',
): Promise<{ id: string; name: string }> {
  const row = isUuid(id)
    ? await database.query
        .selectFrom('organizations')
        .select(['id', 'name'])
        .where('id', '=', id)
        .where('status', '<>', 'deleted')
        .executeTakeFirst()
    : undefined
  if (row === undefined) throw new TollgateError(404, 'NOT_FOUND', message)
  return row
}

/**
 * @param id of an organization, or of one of its subscriptions.
 * @returns the organization. @throws {TollgateError} 403; 404 for a system administrator.
 */
export async function organizationOfSubscription(
  database: Database,
  caller: Caller,
  permission: Permission,
  id: string,
): Promise<string> {
  const subscription = isUuid(id) ? await findSubscriptionById(database, id) : null
  const organizationId = subscription?.org_id ?? id
  requirePermission(caller, permission, organizationId)
  return (await requireOrganization(database, organizationId, 'No active subscription found')).id
}
