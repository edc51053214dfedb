/** Invitations to an organization: each is a token, shown once, for the user who is invited. */
import { z } from '@hono/zod-openapi'
import {
  acceptInvitation,
  INVITED_ROLES,
  invite,
  listInvitations,
  revokeInvitation,
} from '../../billing/invitations.ts'
import { MEMBER_ROLES } from '../../billing/members.ts'
import { changeRoute } from '../change-route.ts'
import { requireProvenUser } from '../require-proven-user.ts'
import { type Route, route } from '../route.ts'
import type { OrgBillingDependencies } from './dependencies.ts'
import { requireOrganization } from './organization-of.ts'

const base = '/api/v1/org-billing'
const invitations = `${base}/organizations/{org_id}/invitations`
const orgId = z.object({ org_id: z.string() })
const DAYS = 7

const members = {
  id: z.uuid(),
  org_id: z.uuid(),
  email: z.string().nullable(),
  role: z.enum(INVITED_ROLES),
  invited_by: z.string(),
  created_at: z.iso.datetime(),
  expires_at: z.iso.datetime(),
  status: z.enum(['pending', 'accepted', 'revoked', 'expired']),
}
const invitation = z.object(members).openapi('Invitation')

export function invitationRoutes({ reports }: OrgBillingDependencies): Route[] {
  return [
    changeRoute(reports, {
      method: 'post',
      path: invitations,
      may: 'members:manage',
      organization: 'org_id',
      summary: 'Invite somebody to an organization',
      description: 'Organization admins. Only this response has the token: send it to the person who is invited.',
      params: orgId,
      body: z.object({
        email: z.email().max(320).nullish(),
        role: z.enum(INVITED_ROLES).default('member'),
        expires_in_days: z.number().int().min(1).max(90).default(DAYS),
      }),
      returns: z.object({ ...members, token: z.string() }),
      status: 201,
      errors: { 404: 'Organization not found' },
      prepare: ({ params }) => requireOrganization(reports, params.org_id),
      make: (transaction, { id }, { body, caller }) =>
        invite(transaction, {
          organizationId: id,
          email: body.email ?? null,
          role: body.role,
          days: body.expires_in_days,
          actor: caller.userId,
        }),
    }),
    route({
      method: 'get',
      path: invitations,
      may: 'members:manage',
      organization: 'org_id',
      summary: 'The invitations of an organization, newest first',
      params: orgId,
      returns: z.array(invitation),
      errors: { 404: 'Organization not found' },
      async handle({ params: { org_id } }) {
        const { id } = await requireOrganization(reports, org_id)
        return listInvitations(reports, id)
      },
    }),
    changeRoute(reports, {
      method: 'delete',
      path: `${invitations}/{invitation_id}`,
      may: 'members:manage',
      organization: 'org_id',
      summary: 'Revoke an invitation',
      params: orgId.extend({ invitation_id: z.string() }),
      returns: invitation,
      errors: { 404: 'There is no such pending invitation.' },
      prepare: ({ params }) => requireOrganization(reports, params.org_id),
      make: (transaction, { id }, { params }) => revokeInvitation(transaction, id, params.invitation_id),
    }),
    changeRoute(reports, {
      method: 'post',
      path: `${base}/invitations/accept`,
      may: 'organizations:read_own',
      summary: 'Join the organization of an invitation',
      body: z.object({ token: z.string().max(200) }),
      returns: z.object({
        org_id: z.uuid(),
        user_id: z.string(),
        role: z.enum(MEMBER_ROLES),
        joined_at: z.iso.datetime(),
      }),
      status: 201,
      errors: {
        404: 'There is no such invitation, or it is used, revoked or expired.',
        409: 'You are a member already.',
      },
      prepare: ({ caller }) => requireProvenUser(caller, 'accept an invitation'),
      make: (transaction, _, { body, caller }) => acceptInvitation(transaction, body.token, caller.userId),
    }),
  ]
}
