/** Who belongs to an organization, and what of its pool each may spend. Credits are decimal strings. */
import { type Kysely, sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { sqlState } from '../db/connect.ts'
import type { Tables } from '../db/tables.ts'
import { TollgateError } from '../http/errors.ts'
import { trimDecimal } from '../metering/money.ts'
import { findOrganization } from './find-organization.ts'

export const MEMBER_ROLES = ['member', 'admin', 'owner', 'billing_admin'] as const
export type MemberRole = (typeof MEMBER_ROLES)[number]

export interface Member {
  user: string
  role: MemberRole
  /** What the user was given and has spent in the current period, and what running calls set aside; null without an allocation. */
  allocated: string | null
  used: string | null
  held: string | null
}

type Query = Pick<Kysely<Tables>, 'insertInto' | 'selectFrom'> & Kysely<Tables>

/** @throws {TollgateError} 404. */
export async function listMembers(database: Database, organization: string): Promise<Member[]> {
  const { id } = await findOrganization(database.query, organization)
  const { rows } = await sql<Member>`
    select m.user_id as user, m.role, trim_scale(a.allocated_credits)::text as allocated, trim_scale(a.used_credits)::text as used,
      trim_scale(a.held_credits)::text as held
    from organization_members m
    left join user_credit_allocations a on a.org_id = m.org_id and a.user_id = m.user_id
    where m.org_id = ${id}
    order by m.user_id`.execute(database.query)
  return rows
}

export interface NewMember {
  /** Name or id. */
  organization: string
  user: string
  /** Null leaves the role of a member as it is; a new one becomes `member`. */
  role: MemberRole | null
  /** Microcredits to move from the organization's pool to the user; 0 moves none. */
  allocate: bigint
}

/** All or nothing. @throws {TollgateError} 404 for an unknown organization, 400 where its pool does not cover the allocation. */
export function addMember(database: Database, member: NewMember, by: string): Promise<JoinedMember> {
  return database.query.transaction().execute((transaction) => join(transaction, member, by))
}

export interface JoinedMember {
  organization: { id: string; name: string }
  user: string
  role: MemberRole
  /** What the user can spend now. */
  remaining_credits: string
}

/** In a transaction of the caller's. @param by who does it, for the books. */
export async function join(transaction: Query, member: NewMember, by: string): Promise<JoinedMember> {
  const organization = await findOrganization(transaction, member.organization)
  const { user } = member
  const role = await setRole(transaction, organization.id, member)
  const remaining = await allocate(transaction, organization.id, member, by)
  return { organization, user, role, remaining_credits: remaining }
}

async function setRole(transaction: Query, organizationId: string, { user, role }: NewMember): Promise<MemberRole> {
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
  transaction: Query,
  organizationId: string,
  { user, allocate: amount }: NewMember,
  by: string,
): Promise<string> {
  try {
    await sql`select allocate_credits_to_user(${organizationId}, ${user}, ${trimDecimal(amount, 6)}, ${by})`.execute(
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
