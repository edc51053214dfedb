/** The part of an organization's pool that each member may spend. Each request adds credits to it, and so does a repeated one. */
import { z } from '@hono/zod-openapi'
import {
  type Allocation,
  allocateCredits,
  findAllocation,
  listAllocations,
  listUserAllocations,
  RESET_PERIODS,
} from '../../billing/allocations.ts'
import { TollgateError } from '../../http/errors.ts'
import { can, requirePermission } from '../../identity/permissions.ts'
import { creditsToMicro, formatDecimal } from '../../metering/money.ts'
import { changeRoute } from '../change-route.ts'
import { exactNumberSchema } from '../exact-number-schema.ts'
import { type Route, route } from '../route.ts'
import { creditNumber, wholeCredits } from './amounts.ts'
import type { OrgBillingDependencies } from './dependencies.ts'
import { requireOrganization } from './organization-of.ts'

const base = '/api/v1/org-billing'
const orgId = z.object({ org_id: z.string() })
const orgAndUser = z.object({ org_id: z.string(), user_id: z.string() })

const members = {
  id: z.uuid(),
  org_id: z.uuid(),
  user_id: z.string(),
  user_email: z.string().nullable(),
  user_name: z.string().nullable(),
  allocated_credits: exactNumberSchema,
  used_credits: exactNumberSchema,
  remaining_credits: exactNumberSchema,
  reset_period: z.enum(RESET_PERIODS),
  last_reset_date: z.iso.datetime(),
  next_reset_date: z.iso.datetime().nullable(),
  is_active: z.boolean(),
  created_at: z.iso.datetime(),
}
const allocation = z.object(members).openapi('CreditAllocation')

const newAllocation = z
  .object({
    user_id: z.string().min(1).max(255),
    allocated_credits: wholeCredits('allocated_credits', 0).optional(),
    credits: wholeCredits('credits', 0).optional().openapi({ description: 'The same as allocated_credits.' }),
    reset_period: z.enum(RESET_PERIODS, { error: 'Period must be daily, weekly, monthly, or never' }).optional(),
    notes: z.string().max(10_000).nullish(),
  })
  .refine((body) => (body.allocated_credits ?? body.credits) !== undefined, {
    message: '"allocated_credits" is missing. It must be a whole number of credits, 0 or more.',
    path: ['allocated_credits'],
  })

export function allocationRoutes(deps: OrgBillingDependencies): Route[] {
  return [
    userRoute(deps),
    allocateRoute(deps, `${base}/credits/{org_id}/allocate`, 200),
    allocateRoute(deps, `${base}/allocations/{org_id}`, 201),
    listRoute(deps),
    ...legacyRoutes(deps),
  ]
}

function allocateRoute({ reports }: OrgBillingDependencies, path: string, status: number): Route {
  return changeRoute(reports, {
    method: 'post',
    path,
    may: 'allocations:change',
    organization: 'org_id',
    summary: 'Give credits of the pool to a member',
    description: 'Organization admins. Added to what the member has.',
    params: orgId,
    body: newAllocation,
    returns: allocation,
    status,
    errors: { 400: 'The user is not a member, or the pool has fewer credits.', 404: 'Credit pool not found' },
    prepare: ({ params }) => requireOrganization(reports, params.org_id),
    make: async (transaction, { id }, { body, caller }) =>
      showAllocation(
        await allocateCredits(transaction, {
          organizationId: id,
          userId: body.user_id,
          credits: body.allocated_credits ?? body.credits ?? '0',
          resetPeriod: body.reset_period ?? null,
          notes: body.notes ?? null,
          actor: caller.userId,
        }),
      ),
  })
}

function listRoute({ reports }: OrgBillingDependencies): Route {
  return route({
    method: 'get',
    path: `${base}/credits/{org_id}/allocations`,
    may: 'allocations:read',
    organization: 'org_id',
    summary: 'What each member may spend',
    params: orgId,
    returns: z.array(allocation),
    errors: { 404: 'Organization not found' },
    async handle({ params: { org_id } }) {
      const { id } = await requireOrganization(reports, org_id)
      return (await listAllocations(reports, id)).map(showAllocation)
    },
  })
}

/** The same for an older client of Ops-Center. */
function legacyRoutes({ reports }: OrgBillingDependencies): Route[] {
  return [
    route({
      method: 'get',
      path: `${base}/allocations/{org_id}`,
      may: 'allocations:read',
      organization: 'org_id',
      summary: 'What each member may spend, as an object',
      params: orgId,
      returns: z.object({ allocations: z.array(allocation) }),
      errors: { 404: 'Organization not found' },
      async handle({ params: { org_id } }) {
        const { id } = await requireOrganization(reports, org_id)
        return { allocations: (await listAllocations(reports, id)).map(showAllocation) }
      },
    }),
    route({
      method: 'get',
      path: `${base}/allocations/{org_id}/{user_id}`,
      may: 'pool:read',
      organization: 'org_id',
      summary: 'What one member may spend',
      description: 'The member, and organization admins.',
      params: orgAndUser,
      returns: allocation,
      errors: { 404: 'No credit allocation found' },
      async handle({ caller, params: { org_id, user_id } }) {
        if (user_id !== caller.userId) requirePermission(caller, 'allocations:read', org_id)
        const { id } = await requireOrganization(reports, org_id)
        return showAllocation(await findAllocation(reports.query, id, user_id))
      },
    }),
  ]
}

function userRoute({ reports }: OrgBillingDependencies): Route {
  return route({
    method: 'get',
    path: `${base}/credits/user/{user_id}`,
    may: 'organizations:read_own',
    summary: 'What a user may spend in each organization',
    description: 'The user; an organization admin sees the allocations of members in that organization.',
    params: z.object({ user_id: z.string() }),
    returns: z.object({
      user_id: z.string(),
      allocations: z.array(z.object({ ...members, org_name: z.string() })),
      total_remaining_credits: exactNumberSchema,
    }),
    async handle({ caller, params: { user_id } }) {
      const isOwn = user_id === caller.userId
      const within = caller.role === 'system_admin' ? null : [...caller.memberships.keys()]
      const seen = (await listUserAllocations(reports, user_id, within)).filter(
        ({ org_id }) => isOwn || can(caller, 'allocations:read', org_id),
      )
      if (seen.length === 0 && !isOwn && caller.role !== 'system_admin')
        throw new TollgateError(403, 'PERMISSION_DENIED', 'Not authorized to view allocations')
      const remaining = seen.reduce(
        (sum, one) => sum + (one.is_active ? creditsToMicro(one.remaining_credits) : 0n),
        0n,
      )
      return {
        user_id,
        allocations: seen.map((one) => ({ ...showAllocation(one), org_name: one.org_name })),
        total_remaining_credits: creditNumber(formatDecimal(remaining, 6)),
      }
    },
  })
}

export function showAllocation(found: Allocation): z.output<typeof allocation> {
  const { id, org_id, user_id, reset_period, last_reset_date, next_reset_date, is_active, created_at } = found
  return {
    id,
    org_id,
    user_id,
    user_email: null,
    user_name: null,
    allocated_credits: creditNumber(found.allocated_credits),
    used_credits: creditNumber(found.used_credits),
    remaining_credits: creditNumber(found.remaining_credits),
    reset_period,
    last_reset_date,
    next_reset_date,
    is_active,
    created_at,
  }
}
