/** Who was asked to join an organization. A token is shown once and accepted once, by whoever it was given to. */
import { createHash, randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'
import { isUuid } from '../db/uuid.ts'
import { TollgateError } from '../http/errors.ts'
import type { ChangeTransaction } from './change.ts'
import { joinOrganization, type MemberRow } from './change-membership.ts'

export const INVITED_ROLES = ['member', 'admin', 'billing_admin'] as const
export type InvitedRole = (typeof INVITED_ROLES)[number]

/** Times are ISO 8601. */
export interface Invitation {
  id: string
  org_id: string
  email: string | null
  role: InvitedRole
  invited_by: string
  created_at: string
  expires_at: string
  status: 'pending' | 'accepted' | 'revoked' | 'expired'
}

export interface NewInvitation {
  organizationId: string
  email: string | null
  role: InvitedRole
  days: number
  actor: string
}

const COLUMNS = sql`
  id, org_id, email, role, invited_by, ${isoTime('created_at')} as created_at, ${isoTime('expires_at')} as expires_at,
  case when accepted_at is not null then 'accepted' when revoked_at is not null then 'revoked'
    when expires_at <= tollgate.tollgate_now() then 'expired' else 'pending' end as status`

export async function invite(
  transaction: ChangeTransaction,
  { organizationId, email, role, days, actor }: NewInvitation,
  random: (bytes: number) => Buffer = randomBytes,
): Promise<Invitation & { token: string }> {
  const token = `inv_${random(32).toString('hex')}`
  const { rows } = await sql<Invitation>`
    insert into tollgate.invitations (org_id, token_hash, email, role, invited_by, expires_at)
    values (${organizationId}, ${hashOf(token)}, ${email}, ${role}, ${actor},
      tollgate.tollgate_now() + make_interval(days => ${days}::integer))
    returning ${COLUMNS}`.execute(transaction)
  return { ...rows[0]!, token }
}

/** Newest first. */
export async function listInvitations(database: Database, organizationId: string): Promise<Invitation[]> {
  const { rows } = await sql<Invitation>`
    select ${COLUMNS} from tollgate.invitations i where org_id = ${organizationId} order by i.created_at desc, id`.execute(
    database.query,
  )
  return rows
}

/** @throws {TollgateError} 404 for one that is not pending. */
export async function revokeInvitation(
  transaction: ChangeTransaction,
  organizationId: string,
  id: string,
): Promise<Invitation> {
  const { rows } = isUuid(id)
    ? await sql<Invitation>`
        update tollgate.invitations set revoked_at = tollgate.tollgate_now()
        where id = ${id} and org_id = ${organizationId} and accepted_at is null and revoked_at is null
        returning ${COLUMNS}`.execute(transaction)
    : { rows: [] }
  if (rows[0] === undefined) throw noInvitation()
  return rows[0]
}

/** @throws {TollgateError} 404 for a token that is not pending, 409 for a user who is a member. */
export async function acceptInvitation(
  transaction: ChangeTransaction,
  token: string,
  userId: string,
): Promise<MemberRow & { org_id: string }> {
  const { rows } = await sql<{ org_id: string; role: InvitedRole }>`
    update tollgate.invitations set accepted_at = tollgate.tollgate_now(), accepted_by = ${userId}
    where token_hash = ${hashOf(token)} and accepted_at is null and revoked_at is null and expires_at > tollgate.tollgate_now()
    returning org_id, role`.execute(transaction)
  const [invitation] = rows
  if (invitation === undefined) throw noInvitation()
  const change = { organizationId: invitation.org_id, userId, actor: userId }
  return { org_id: invitation.org_id, ...(await joinOrganization(transaction, change, invitation.role)) }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

function noInvitation(): TollgateError {
  return new TollgateError(
    404,
    'invitation_not_found',
    'There is no such invitation, or it is used, revoked or expired.',
  )
}
