/** An organization by its name or its id. */
import type { Kysely } from 'kysely'
import type { Tables } from '../db/tables.ts'
import { isUuid } from '../db/uuid.ts'
import { TollgateError } from '../http/errors.ts'

/** @throws {TollgateError} 404. */
export async function findOrganization(
  query: Pick<Kysely<Tables>, 'selectFrom'>,
  nameOrId: string,
): Promise<{ id: string; name: string }> {
  const found = await query
    .selectFrom('organizations')
    .select(['id', 'name'])
    .where(isUuid(nameOrId) ? 'id' : 'name', '=', nameOrId)
    .executeTakeFirst()
  if (found === undefined)
    throw new TollgateError(
      404,
      'organization_not_found',
      `There is no organization ${JSON.stringify(nameOrId)}. Make it with: tollgate org create`,
    )
  return found
}
