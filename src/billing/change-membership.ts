/** Members come, change their role and leave. An organization always has an owner. */
import { type Kysely, sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'
import type { Tables } from '../db/tables.ts'
import { TollgateError } from '../http/errors.ts'
import type { ChangeTransaction } from './change.ts'
import { join, type MemberRole } from './members.ts'

export interface MemberRow {
  user_id: string
  role: MemberRole
  /** ISO 8601. */
  joined_at: string
}

export interface MemberChange {
  organizationId: string
  userId: string
  actor: string
}

/** In the order they joined. */
export async function listMemberRows(database: Database, organizationId: string): Promise<MemberRow[]> {
  const { rows } = await sql<MemberRow>`
    select user_id, role, ${isoTime('joined_at')} as joined_at from organization_members where org_id = ${organizationId}
    order by organization_members.joined_at, user_id`.execute(database.query)
  return rows
}

/** With an allocation of 0, so that the user can be given credits; one that ended is there again. @throws {TollgateError} 409. */
export async function joinOrganization(
  transaction: ChangeTransaction,
  { organizationId, userId, actor }: MemberChange,
  role: MemberRole,
): Promise<MemberRow> {
  await lockMembers(transaction, organizationId)
  if ((await findMember(transaction, organizationId, userId)) !== null)
    throw new TollgateError(409, 'ALREADY_EXISTS', 'User is a member of this organization already')
  await join(transaction, { organization: organizationId, user: userId, role, allocate: 0n }, actor)
  await sql`
    update user_credit_allocations set is_active = true,
      next_reset_date = tollgate.ledger_next_date(reset_period, tollgate.tollgate_now(), tollgate.tollgate_now())
    where org_id = ${organizationId} and user_id = ${userId} and not is_active`.execute(transaction)
  return (await findMember(transaction, organizationId, userId))!
}

/** @throws {TollgateError} 404, 409 for the only owner. */
export async function changeRole(
  transaction: ChangeTransaction,
  { organizationId, userId }: MemberChange,
  role: MemberRole,
): Promise<MemberRow> {
  await lockMembers(transaction, organizationId)
  const member = await requireMember(transaction, organizationId, userId)
  if (member.role === 'owner' && role !== 'owner') await requireOtherOwner(transaction, organizationId, userId)
  await setRole(transaction, organizationId, userId, role)
  return { ...member, role }
}

/**
 * The user is no member any more and the user's keys of this organization are dead. What the user was given and neither spent nor
 * holds for running calls returns to the pool.
 * @returns the decimal credits that did. @throws {TollgateError} 404, 409 for the only owner.
 */
export async function removeMember(
  transaction: ChangeTransaction,
  { organizationId, userId, actor }: MemberChange,
): Promise<string> {
  await lockMembers(transaction, organizationId)
  const member = await requireMember(transaction, organizationId, userId)
  if (member.role === 'owner') await requireOtherOwner(transaction, organizationId, userId)
  const { rows } = await sql<{ returned: string }>`
    select trim_scale(tollgate.ledger_end_allocation(${organizationId}, ${userId}, ${actor}))::text as returned`.execute(
    transaction,
  )
  await transaction
    .deleteFrom('organization_members')
    .where('org_id', '=', organizationId)
    .where('user_id', '=', userId)
    .execute()
  await transaction
    .updateTable('tollgate.api_keys')
    .set({ is_active: false })
    .where('org_id', '=', organizationId)
    .where('user_id', '=', userId)
    .execute()
  return rows[0]!.returned
}

/** A member becomes the owner; who was becomes an admin. @throws {TollgateError} 404. */
export async function transferOwnership(
  transaction: ChangeTransaction,
  { organizationId, userId }: MemberChange,
): Promise<MemberRow> {
  await lockMembers(transaction, organizationId)
  const member = await requireMember(transaction, organizationId, userId)
  await sql`
    update organization_members set role = 'admin'
    where org_id = ${organizationId} and role = 'owner' and user_id <> ${userId}`.execute(transaction)
  await setRole(transaction, organizationId, userId, 'owner')
  return { ...member, role: 'owner' }
}

/** The pool stands for the organization, as for changes of its plan: two admins can't remove each other at once. */
async function lockMembers(transaction: ChangeTransaction, organizationId: string): Promise<void> {
  await sql`insert into organization_credit_pools (org_id) values (${organizationId}) on conflict do nothing`.execute(
    transaction,
  )
  await sql`select from organization_credit_pools where org_id = ${organizationId} for update`.execute(transaction)
}

async function findMember(query: Kysely<Tables>, organizationId: string, userId: string): Promise<MemberRow | null> {
  const { rows } = await sql<MemberRow>`
    select user_id, role, ${isoTime('joined_at')} as joined_at from organization_members
    where org_id = ${organizationId} and user_id = ${userId}`.execute(query)
  return rows[0] ?? null
}

async function requireMember(query: Kysely<Tables>, organizationId: string, userId: string): Promise<MemberRow> {
  const member = await findMember(query, organizationId, userId)
  if (member !== null) return member
  throw new TollgateError(404, 'member_not_found', 'User is not a member of this organization')
}

async function requireOtherOwner(query: Kysely<Tables>, organizationId: string, userId: string): Promise<void> {
  const other = await query
    .selectFrom('organization_members')
    .select('id')
    .where('org_id', '=', organizationId)
    .where('role', '=', 'owner')
    .where('user_id', '<>', userId)
    .executeTakeFirst()
  if (other === undefined)
    throw new TollgateError(
      409,
      'last_owner',
      'This is the only owner. Transfer the ownership to another member first.',
    )
}

async function setRole(
  transaction: ChangeTransaction,
  organizationId: string,
  userId: string,
  role: MemberRole,
): Promise<void> {
  await transaction
    .updateTable('organization_members')
    .set({ role })
    .where('org_id', '=', organizationId)
    .where('user_id', '=', userId)
    .execute()
}
