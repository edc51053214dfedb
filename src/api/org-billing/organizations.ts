/** Lists, makes, renames, suspends and hands over organizations, and manages their members. */
import { z } from '@hono/zod-openapi'
import {
  changeRole,
  joinOrganization,
  listMemberRows,
  removeMember,
  transferOwnership,
} from '../../billing/change-membership.ts'
import {
  foundOrganization,
  listOrganizationsOf,
  type OrganizationRow,
  renameOrganization,
  setOrganizationStatus,
  setOrganizationTier,
} from '../../billing/change-organization.ts'
import { foundOwnOrganization } from '../../billing/found-own-organization.ts'
import { MEMBER_ROLES, type MemberRole } from '../../billing/members.ts'
import { TollgateError } from '../../http/errors.ts'
import { actorOf, type Caller } from '../../identity/caller.ts'
import { can, requirePermission, roleIn } from '../../identity/permissions.ts'
import { changeRoute } from '../change-route.ts'
import { exactNumberSchema } from '../exact-number-schema.ts'
import { requireProvenUser } from '../require-proven-user.ts'
import { type Route, route } from '../route.ts'
import { creditNumber } from './amounts.ts'
import type { OrgBillingDependencies } from './dependencies.ts'
import { invitationRoutes } from './invitations.ts'
import { requireOrganization } from './organization-of.ts'

const organizations = '/api/v1/org-billing/organizations'
const orgId = z.object({ org_id: z.string() })
const orgAndUser = z.object({ org_id: z.string(), user_id: z.string() })
const userId = z.string().min(1).max(255)
const name = z.string().trim().min(1).max(200)

const organization = z.object({
  id: z.uuid(),
  name: z.string(),
  display_name: z.string().nullable(),
  plan_tier: z.string(),
  max_seats: z.number(),
  status: z.enum(['active', 'suspended', 'deleted']),
  created_at: z.iso.datetime(),
})

const member = z
  .object({ user_id: z.string(), role: z.enum(MEMBER_ROLES), joined_at: z.iso.datetime() })
  .openapi('Member')

export function organizationRoutes(deps: OrgBillingDependencies): Route[] {
  return [
    listRoute(deps),
    ownRoute(deps),
    foundRoute(deps),
    renameRoute(deps),
    statusRoute(deps, 'suspend', 'suspended'),
    statusRoute(deps, 'resume', 'active'),
    tierRoute(deps),
    transferRoute(deps),
    ...memberRoutes(deps),
    ...invitationRoutes(deps),
  ]
}

function listRoute({ reports }: OrgBillingDependencies): Route {
  return route({
    method: 'get',
    path: organizations,
    may: 'organizations:read_own',
    summary: 'Your organizations',
    description: 'A system administrator sees all of them.',
    returns: z.array(
      organization.extend({ role: z.enum(MEMBER_ROLES).nullable(), member_count: z.number() }).openapi('Organization'),
    ),
    handle: ({ caller }) =>
      listOrganizationsOf(
        reports,
        caller.userId,
        can(caller, 'organizations:manage') ? null : [...caller.memberships.keys()],
      ),
  })
}

function foundRoute({ reports }: OrgBillingDependencies): Route {
  return changeRoute(reports, {
    method: 'post',
    path: organizations,
    may: 'organizations:manage',
    summary: 'Make an organization with its owner',
    body: z.object({ name, display_name: z.string().max(200).nullish(), owner_id: userId }),
    returns: organization,
    status: 201,
    errors: { 409: 'The name is taken.' },
    prepare: () => null,
    make: (transaction, _, { body, change }): Promise<OrganizationRow> =>
      foundOrganization(transaction, {
        name: body.name,
        displayName: body.display_name ?? null,
        owner: body.owner_id,
        actor: change.actor,
      }),
  })
}

function ownRoute({ reports }: OrgBillingDependencies): Route {
  return changeRoute(reports, {
    method: 'post',
    path: `${organizations}/own`,
    may: 'organizations:read_own',
    summary: 'Make an organization of your own',
    description: 'For people who are signed in and belong to no organization. It has one member and an empty pool.',
    body: z.object({ display_name: z.string().max(200).nullish() }),
    returns: organization,
    status: 201,
    errors: { 409: 'You belong to an organization already.' },
    prepare: ({ caller }) => requireProvenUser(caller, 'make an organization of your own'),
    make: (transaction, _, { caller, body }) =>
      foundOwnOrganization(transaction, caller.userId, body.display_name ?? caller.email),
  })
}

function renameRoute({ reports }: OrgBillingDependencies): Route {
  return changeRoute(reports, {
    method: 'patch',
    path: `${organizations}/{org_id}`,
    may: 'organization:change',
    organization: 'org_id',
    summary: 'Rename an organization',
    params: orgId,
    body: z.object({ name: name.optional(), display_name: z.string().max(200).nullish() }),
    returns: organization,
    errors: { 404: 'Organization not found', 409: 'The name is taken.' },
    prepare: ({ params }) => requireOrganization(reports, params.org_id),
    make: (transaction, { id }, { body }) =>
      renameOrganization(transaction, id, {
        ...(body.name === undefined ? {} : { name: body.name }),
        ...(body.display_name === undefined ? {} : { displayName: body.display_name }),
      }),
  })
}

function statusRoute({ reports }: OrgBillingDependencies, verb: string, status: 'active' | 'suspended'): Route {
  return changeRoute(reports, {
    method: 'post',
    path: `${organizations}/{org_id}/${verb}`,
    may: 'organizations:manage',
    summary: status === 'active' ? 'Let a suspended organization call again' : 'Suspend an organization',
    description: 'System administrators. Calls of a suspended organization are refused within a second.',
    params: orgId,
    returns: organization,
    errors: { 404: 'Organization not found' },
    prepare: ({ params }) => requireOrganization(reports, params.org_id),
    make: (transaction, { id }) => setOrganizationStatus(transaction, id, status),
  })
}

function tierRoute({ reports }: OrgBillingDependencies): Route {
  return changeRoute(reports, {
    method: 'put',
    path: `${organizations}/{org_id}/tier`,
    may: 'organizations:manage',
    summary: 'Set the tier of an organization',
    description:
      'System administrators. The tier bounds the calls of each of its users in a day and a month, as `tollgate.tiers` states; one that is not named there has no quota.',
    params: orgId,
    body: z.object({ tier: z.string().trim().min(1).max(50) }),
    returns: organization,
    errors: { 404: 'Organization not found' },
    prepare: ({ params }) => requireOrganization(reports, params.org_id),
    make: (transaction, { id }, { body }) => setOrganizationTier(transaction, id, body.tier),
  })
}

function transferRoute({ reports }: OrgBillingDependencies): Route {
  return changeRoute(reports, {
    method: 'post',
    path: `${organizations}/{org_id}/transfer`,
    may: 'organization:transfer',
    organization: 'org_id',
    summary: 'Hand an organization to another member',
    description: 'Owners. The former owner becomes an admin.',
    params: orgId,
    body: z.object({ user_id: userId }),
    returns: member,
    errors: { 404: 'User is not a member of this organization' },
    prepare: ({ params }) => requireOrganization(reports, params.org_id),
    make: (transaction, { id }, { body, change }) =>
      transferOwnership(transaction, { organizationId: id, userId: body.user_id, actor: change.actor }),
  })
}

function memberRoutes({ reports }: OrgBillingDependencies): Route[] {
  const members = `${organizations}/{org_id}/members`
  return [
    route({
      method: 'get',
      path: members,
      may: 'members:read',
      organization: 'org_id',
      summary: 'The members of an organization',
      params: orgId,
      returns: z.array(member),
      errors: { 404: 'Organization not found' },
      async handle({ params: { org_id } }) {
        const { id } = await requireOrganization(reports, org_id)
        return listMemberRows(reports, id)
      },
    }),
    changeRoute(reports, {
      method: 'post',
      path: members,
      may: 'members:manage',
      organization: 'org_id',
      summary: 'Add a member',
      params: orgId,
      body: z.object({ user_id: userId, role: z.enum(MEMBER_ROLES).default('member') }),
      returns: member,
      status: 201,
      errors: { 404: 'Organization not found', 409: 'The user is a member already.' },
      prepare({ caller, params, body }) {
        requireMayGive(caller, params.org_id, body.role)
        return requireOrganization(reports, params.org_id)
      },
      make: (transaction, { id }, { body, caller }) =>
        joinOrganization(transaction, { organizationId: id, userId: body.user_id, actor: actorOf(caller) }, body.role),
    }),
    roleRoute({ reports }, members),
    removeRoute({ reports }, members),
  ]
}

function roleRoute({ reports }: Pick<OrgBillingDependencies, 'reports'>, members: string): Route {
  return changeRoute(reports, {
    method: 'patch',
    path: `${members}/{user_id}`,
    may: 'members:manage',
    organization: 'org_id',
    summary: "Change a member's role",
    params: orgAndUser,
    body: z.object({ role: z.enum(MEMBER_ROLES) }),
    returns: member,
    errors: { 404: 'User is not a member of this organization', 409: 'This is the only owner.' },
    async prepare({ caller, params, body }) {
      requireMayGive(caller, params.org_id, body.role)
      const { id } = await requireOrganization(reports, params.org_id)
      await requireMayTouch(reports, caller, id, params.user_id)
      return id
    },
    make: (transaction, id, { params, body, change }) =>
      changeRole(transaction, { organizationId: id, userId: params.user_id, actor: change.actor }, body.role),
  })
}

function removeRoute({ reports }: Pick<OrgBillingDependencies, 'reports'>, members: string): Route {
  return changeRoute(reports, {
    method: 'delete',
    path: `${members}/{user_id}`,
    may: 'members:read',
    organization: 'org_id',
    summary: 'Remove a member',
    description:
      "Organization admins; members leave by themselves. What is neither spent nor held returns to the pool; the member's keys are dead.",
    params: orgAndUser,
    returns: z.object({ success: z.literal(true), user_id: z.string(), returned_credits: exactNumberSchema }),
    errors: { 404: 'User is not a member of this organization', 409: 'This is the only owner.' },
    async prepare({ caller, params }) {
      if (params.user_id !== caller.userId) requirePermission(caller, 'members:manage', params.org_id)
      const { id } = await requireOrganization(reports, params.org_id)
      await requireMayTouch(reports, caller, id, params.user_id)
      return id
    },
    async make(transaction, id, { params: { user_id }, change }) {
      const returned = await removeMember(transaction, { organizationId: id, userId: user_id, actor: change.actor })
      return { success: true as const, user_id, returned_credits: creditNumber(returned) }
    },
  })
}

/** Only an owner makes owners. @throws {TollgateError} 403. */
function requireMayGive(caller: Caller, organizationId: string, role: MemberRole): void {
  if (role === 'owner') requireOwner(caller, organizationId)
}

/** Only an owner changes an owner. @throws {TollgateError} 403. */
async function requireMayTouch(
  reports: OrgBillingDependencies['reports'],
  caller: Caller,
  organizationId: string,
  user: string,
): Promise<void> {
  const found = (await listMemberRows(reports, organizationId)).find(({ user_id }) => user_id === user)
  if (found?.role === 'owner') requireOwner(caller, organizationId)
}

function requireOwner(caller: Caller, organizationId: string): void {
  if (['owner', 'system_admin'].includes(roleIn(caller, organizationId))) return
  throw new TollgateError(403, 'PERMISSION_DENIED', 'Only the owner may do this')
}
