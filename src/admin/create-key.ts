/** A new API key for a user of an organization; the user becomes a member and is given credits on the way. All or nothing. */
import { sql, type Transaction } from 'kysely'
import { type Database, sqlState } from '../db/connect.ts'
import type { Tables } from '../db/tables.ts'
import { isUuid } from '../db/uuid.ts'
import { TollgateError } from '../http/errors.ts'
import { newApiKey } from '../identity/api-key.ts'
import { trimDecimal } from '../metering/money.ts'

export const MEMBER_ROLES = ['member', 'admin', 'owner', 'billing_admin'] as const
export type MemberRole = (typeof MEMBER_ROLES)[number]

export interface NewKeyRequest {
  /** Name or id of the organization. */
  organization: string
  user: string
  /** Microcredits to move from the organization's pool to the user; 0 moves none. */
  allocate: bigint
  /** Null leaves the role of a member as it is; a new one becomes `member`. */
  role: MemberRole | null
  name: string | null
}

export interface CreatedKey {
  id: string
  /** Shown this once. */
  key: string
  preview: string
  organization: { id: string; name: string }
  user: string
  role: MemberRole
  /** Decimal credits the user can spend now. */
  remaining_credits: string
}

/** @throws {TollgateError} 404 for an unknown organization, 400 when its pool doesn't cover the allocation. */
export async function createKey(database: Database, request: NewKeyRequest): Promise<CreatedKey> {
  const { key, hash, preview } = newApiKey()
  return database.query.transaction().execute(async (transaction) => {
    const organization = await findOrganization(transaction, request.organization)
    const role = await join(transaction, organization.id, request)
    const remaining = await allocate(transaction, organization.id, request)
    const { id } = await transaction
      .insertInto('tollgate.api_keys')
      .values({
        key_hash: hash,
        preview,
        name: request.name,
        org_id: organization.id,
        user_id: request.user,
        expires_at: null,
        created_by: null,
      })
      .returning('id')
      .executeTakeFirstOrThrow()
    return { id, key, preview, organization, user: request.user, role, remaining_credits: remaining }
  })
}

async function findOrganization(
  transaction: Transaction<Tables>,
  nameOrId: string,
): Promise<{ id: string; name: string }> {
  const found = await transaction
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

async function join(
  transaction: Transaction<Tables>,
  organizationId: string,
  { user, role }: NewKeyRequest,
): Promise<MemberRole> {
  const row = await transaction
    .insertInto('organization_members')
    .values({ org_id: organizationId, user_id: user, role: role ?? 'member' })
    .onConflict((conflict) =>
      conflict
        .columns(['org_id', 'user_id'])
        .doUpdateSet((set) => ({ role: role ?? set.ref('organization_members.role') })),
    )
    .returning('role')
    .executeTakeFirstOrThrow()
  return row.role
}

async function allocate(
  transaction: Transaction<Tables>,
  organizationId: string,
  { user, allocate: amount }: NewKeyRequest,
): Promise<string> {
  try {
    await sql`select allocate_credits_to_user(${organizationId}, ${user}, ${trimDecimal(amount, 6)}, 'tollgate key create')`.execute(
      transaction,
    )
  } catch (error) {
    if (sqlState(error) !== 'P0001') throw error
    throw new TollgateError(400, 'allocation_refused', (error as Error).message, { cause: error })
  }
  const row = await transaction
    .selectFrom('user_credit_allocations')
    .select(sql<string>`trim_scale(remaining_credits - held_credits)`.as('remaining'))
    .where('org_id', '=', organizationId)
    .where('user_id', '=', user)
    .executeTakeFirstOrThrow()
  return row.remaining
}
