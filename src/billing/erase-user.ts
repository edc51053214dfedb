/** Erases a person's data: the id becomes a pseudonym everywhere, amounts stay. As the role that owns the schema. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isUuid } from '../db/uuid.ts'
import { TollgateError } from '../http/errors.ts'

export interface Erased {
  /** Minted for this, kept nowhere beside the person's id. */
  pseudonym: string
  /** How many rows of each table were changed or removed. */
  rows: Record<string, number>
}

/**
 * @param organizationId null: everywhere, for ids of identity providers (UUIDs) alone: any other id means somebody in one organization.
 * @throws {TollgateError} where there is no such user, or a call of the user runs.
 */
export async function eraseUser(
  { query }: Pick<Database, 'query'>,
  { userId, organizationId, pseudonym }: { userId: string; organizationId: string | null; pseudonym: string },
): Promise<Erased> {
  if (organizationId === null && !isUuid(userId))
    throw new TollgateError(
      400,
      'organization_missing',
      `'${userId}' is somebody else in every organization: name the organization with --org.`,
    )
  const rows = await query.transaction().execute(async (transaction) => {
    await sql`set local statement_timeout = 0`.execute(transaction)
    const { rows: erased } = await sql<{ rows: Record<string, number> | null }>`
      select tollgate.erase_user(${userId}, ${organizationId}::uuid, ${pseudonym}) as rows`.execute(transaction)
    return erased[0]?.rows ?? null
  })
  if (rows !== null) return { pseudonym, rows }
  throw new TollgateError(
    404,
    'user_unknown',
    `There is no user '${userId}'${organizationId === null ? '' : ' in this organization'}.`,
  )
}
