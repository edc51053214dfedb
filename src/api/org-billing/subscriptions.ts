/** Reads, creates, changes and cancels the plan of an organization, under the organization's id or the subscription's own. */
import { z } from '@hono/zod-openapi'
import {
  BILLING_CYCLES,
  cancelSubscription,
  changePlan,
  createSubscription,
  findSubscription,
  findSubscriptionById,
  type PlanChange,
} from '../../billing/subscriptions.ts'
import { PLANS } from '../../config/billing-settings.ts'
import type { Plan } from '../../config/config.ts'
import { isUuid } from '../../db/uuid.ts'
import { TollgateError } from '../../http/errors.ts'
import { requirePermission } from '../../identity/permissions.ts'
import { changeRoute } from '../change-route.ts'
import { exactNumberSchema } from '../exact-number-schema.ts'
import { type Route, route } from '../route.ts'
import { dollarNumber, dollars } from './amounts.ts'
import type { OrgBillingDependencies } from './dependencies.ts'
import { organizationOfSubscription, requireOrganization } from './organization-of.ts'

const PLAN_MESSAGE = 'Plan must be platform, byok, or hybrid'
const plan = z.enum(PLANS as [Plan, ...Plan[]], { error: PLAN_MESSAGE })
const subscriptions = '/api/v1/org-billing/subscriptions'

const subscription = z
  .object({
    id: z.uuid(),
    org_id: z.uuid(),
    org_name: z.string(),
    subscription_plan: plan,
    monthly_price: z.string().openapi({ example: '50.00' }),
    billing_cycle: z.enum(BILLING_CYCLES),
    status: z.enum(['active', 'trialing', 'past_due', 'canceled', 'paused']),
    trial_ends_at: z.iso.datetime().nullable(),
    current_period_start: z.iso.datetime(),
    current_period_end: z.iso.datetime().nullable(),
    created_at: z.iso.datetime(),
  })
  .openapi('Subscription')

const newSubscription = z
  .object({
    org_id: z.string(),
    subscription_plan: plan.optional(),
    plan_code: plan.optional().openapi({ description: 'The same as subscription_plan.' }),
    monthly_price: dollars('monthly_price')
      .refine((text) => Number(text) > 0, '"monthly_price" must be more than 0. The price comes from the plan.')
      .optional()
      .openapi({ description: 'Not used: the price comes from the plan.' }),
    billing_cycle: z.enum(BILLING_CYCLES).default('monthly'),
    trial_days: z.number().int().min(0).max(365).nullish(),
  })
  .refine((body) => (body.subscription_plan ?? body.plan_code) !== undefined, {
    message: `"subscription_plan" is missing. ${PLAN_MESSAGE}`,
    path: ['subscription_plan'],
  })

const planChange = z
  .object({
    success: z.literal(true),
    message: z.string(),
    old_plan: plan,
    new_plan: plan,
    old_price: exactNumberSchema,
    new_price: exactNumberSchema,
  })
  .openapi('PlanChange')

const newPlan = {
  new_plan: z.string().optional(),
  new_plan_code: z.string().optional(),
  subscription_plan: z.string().optional(),
}

export function subscriptionRoutes(deps: OrgBillingDependencies): Route[] {
  return [createRoute(deps), ...readRoutes(deps), ...changeRoutes(deps), cancelRoute(deps)]
}

function createRoute({ reports, config }: OrgBillingDependencies): Route {
  return changeRoute(reports, {
    method: 'post',
    path: subscriptions,
    may: 'organizations:read_own',
    summary: 'Subscribe an organization to a plan',
    description: 'Organization admins. Makes an empty credit pool where there is none.',
    body: newSubscription,
    returns: subscription,
    errors: { 404: 'Organization not found', 409: 'The organization has a subscription that has not ended.' },
    async prepare({ caller, body }) {
      requirePermission(caller, 'subscription:create', body.org_id)
      return requireOrganization(reports, body.org_id)
    },
    make: (transaction, { id }, { body }) =>
      createSubscription(transaction, config.billing.planPrices, {
        organizationId: id,
        plan: body.subscription_plan ?? body.plan_code!,
        cycle: body.billing_cycle,
        trialDays: body.trial_days ?? 0,
      }),
  })
}

function readRoutes({ reports }: OrgBillingDependencies): Route[] {
  const one = (path: string): Route =>
    route({
      method: 'get',
      path,
      may: 'organizations:read_own',
      summary: 'The plan of an organization',
      description:
        'Members. The plan in force, a trial included. The id of a subscription finds that one, whatever its status.',
      params: z.object({ org_id: z.string() }),
      returns: subscription,
      errors: { 404: 'No active subscription found' },
      async handle({ caller, params: { org_id } }) {
        const organizationId = await organizationOfSubscription(reports, caller, 'subscription:read', org_id)
        const named = isUuid(org_id) ? await findSubscriptionById(reports, org_id) : null
        return named ?? findSubscription(reports.query, organizationId)
      },
    })
  return [one(`${subscriptions}/org/{org_id}`), one(`${subscriptions}/{org_id}`)]
}

function changeRoutes({ reports, config }: OrgBillingDependencies): Route[] {
  const change = (path: string): Route =>
    changeRoute(reports, {
      method: 'put',
      path,
      may: 'organizations:read_own',
      summary: 'Change the plan of an organization',
      description: 'Organization admins. The query or the body names the new plan, by any of its names.',
      params: z.object({ org_id: z.string() }),
      query: z.object(newPlan),
      body: z.object(newPlan),
      returns: planChange,
      errors: { 400: 'Invalid plan', 404: 'No active subscription found' },
      async prepare({ caller, params, query, body }) {
        const organizationId = await organizationOfSubscription(reports, caller, 'subscription:change', params.org_id)
        return { organizationId, plan: planNamed({ ...body, ...query }) }
      },
      async make(transaction, ready) {
        return showChange(await changePlan(transaction, config.billing.planPrices, ready.organizationId, ready.plan))
      },
    })
  return [change(`${subscriptions}/{org_id}/upgrade`), change(`${subscriptions}/{org_id}`)]
}

function cancelRoute({ reports }: OrgBillingDependencies): Route {
  return changeRoute(reports, {
    method: 'delete',
    path: `${subscriptions}/{org_id}`,
    may: 'organizations:read_own',
    summary: 'Cancel the plan of an organization',
    description: 'Organization admins. The plan ends at once; credits stay.',
    params: z.object({ org_id: z.string() }),
    returns: subscription,
    errors: { 404: 'No active subscription found' },
    prepare: ({ caller, params: { org_id } }) =>
      organizationOfSubscription(reports, caller, 'subscription:change', org_id),
    make: (transaction, organizationId) => cancelSubscription(transaction, organizationId),
  })
}

/** @throws {TollgateError} 400 for an unknown plan, 422 where none is named. */
function planNamed({ new_plan, new_plan_code, subscription_plan }: Record<string, string | undefined>): Plan {
  const named = new_plan ?? new_plan_code ?? subscription_plan
  if (named === undefined)
    throw new TollgateError(422, 'invalid_request', `"new_plan" is missing. ${PLAN_MESSAGE}`, { param: 'new_plan' })
  const known = PLANS.find((one) => one === named)
  if (known === undefined) throw new TollgateError(400, 'INVALID_REQUEST', 'Invalid plan', { param: 'new_plan' })
  return known
}

function showChange({ old_plan, new_plan, old_price, new_price, direction }: PlanChange): z.output<typeof planChange> {
  const message =
    direction === 'unchanged' ? `Subscription is on ${new_plan} already` : `Subscription ${direction} to ${new_plan}`
  return {
    success: true,
    message,
    old_plan,
    new_plan,
    old_price: dollarNumber(old_price),
    new_price: dollarNumber(new_price),
  }
}
