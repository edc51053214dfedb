/** Billing at a glance, for a user, an organization and the operator; and the history of what was billed. */
import { z } from '@hono/zod-openapi'
import { listBilling } from '../../billing/billing-history.ts'
import { TollgateError } from '../../http/errors.ts'
import { type OrganizationBilling, organizationBilling } from '../../reports/organization-billing.ts'
import { systemBilling } from '../../reports/system-billing.ts'
import { listUserOrganizations, usageOf30Days } from '../../reports/user-billing.ts'
import { numberInQuery } from '../number-in-query.ts'
import { type Route, route } from '../route.ts'
import { creditNumber, dollarNumber } from './amounts.ts'
import { billingOfOrganization, billingOfSystem, billingOfUser } from './billing-schemas.ts'
import type { OrgBillingDependencies } from './dependencies.ts'
import { requireOrganization } from './organization-of.ts'

const base = '/api/v1/org-billing'

export function billingRoutes(deps: OrgBillingDependencies): Route[] {
  return [
    userRoute(deps),
    systemRoute(deps),
    organizationRoute(deps),
    historyRoute(deps, `${base}/billing/{org_id}/history`),
  ]
}

/** The same under the path of Ops-Center's documents. Mount it last: the path matches other routes too. */
export function historyAlias(deps: OrgBillingDependencies): Route {
  return historyRoute(deps, `${base}/{org_id}/history`)
}

function userRoute({ reports }: OrgBillingDependencies): Route {
  return route({
    method: 'get',
    path: `${base}/billing/user`,
    may: 'organizations:read_own',
    summary: 'Your organizations, and what you may spend in each',
    returns: billingOfUser,
    async handle({ caller }) {
      const within = [...caller.memberships.keys()]
      const organizations = await listUserOrganizations(reports, caller.userId, within)
      const { total_credits_used, org_count, request_count } = await usageOf30Days(reports, caller.userId, within)
      return {
        user_id: caller.userId,
        user_email: caller.email,
        organizations: organizations.map((one) => ({
          ...one,
          monthly_price: dollarNumber(one.monthly_price),
          allocated_credits: creditNumber(one.allocated_credits),
          used_credits: creditNumber(one.used_credits),
          remaining_credits: creditNumber(one.remaining_credits),
        })),
        total_usage_last_30_days: { total_credits_used: total_credits_used ?? 0, org_count, request_count },
      }
    },
  })
}

function organizationRoute({ reports }: OrgBillingDependencies): Route {
  return route({
    method: 'get',
    path: `${base}/billing/org/{org_id}`,
    may: 'billing:read',
    organization: 'org_id',
    summary: 'Plan, pool, users and thirty days of use of an organization',
    params: z.object({ org_id: z.string() }),
    returns: billingOfOrganization,
    errors: { 404: 'Organization not found' },
    async handle({ params: { org_id } }) {
      const { id } = await requireOrganization(reports, org_id)
      const found = await organizationBilling(reports, id)
      if (found === null) throw new TollgateError(404, 'NOT_FOUND', 'Organization not found')
      return showOrganization(found)
    },
  })
}

function systemRoute({ reports }: OrgBillingDependencies): Route {
  return route({
    method: 'get',
    path: `${base}/billing/system`,
    may: 'billing:system',
    summary: 'All organizations: what they pay and use',
    returns: billingOfSystem,
    async handle() {
      const { organizations, revenue, plans, top } = await systemBilling(reports)
      return {
        organizations: organizations.map((one) => ({
          ...one,
          monthly_price: dollarNumber(one.monthly_price),
          total_credits: creditNumber(one.total_credits),
          used_credits: creditNumber(one.used_credits),
          lifetime_spent: dollarNumber(one.lifetime_spent),
        })),
        revenue_metrics: {
          total_mrr: dollarNumber(revenue.mrr),
          total_arr: dollarNumber(revenue.arr),
          active_subscriptions: revenue.active,
        },
        subscription_distribution: plans.map(({ plan, count, mrr }) => ({ plan, count, mrr: dollarNumber(mrr) })),
        top_organizations_by_usage: top.map(({ org_id, credits, user_count }) => ({
          org_id,
          total_credits_30_days: credits,
          user_count,
        })),
      }
    },
  })
}

const entry = z
  .object({
    id: z.uuid(),
    org_id: z.uuid(),
    event_type: z.string().openapi({ example: 'credit_purchase' }),
    amount: z.string().openapi({ example: '100.00' }),
    currency: z.string(),
    payment_status: z.string().nullable(),
    period_start: z.iso.datetime().nullable(),
    period_end: z.iso.datetime().nullable(),
    created_at: z.iso.datetime(),
  })
  .openapi('BillingEntry')

function historyRoute({ reports }: OrgBillingDependencies, path: string): Route {
  return route({
    method: 'get',
    path,
    may: 'billing:history',
    organization: 'org_id',
    summary: 'What an organization was billed, newest first',
    params: z.object({ org_id: z.string() }),
    query: z.object({
      limit: numberInQuery('limit', { min: 1, max: 500, default: 50 }),
      offset: numberInQuery('offset', { min: 0, max: 1_000_000_000, default: 0 }),
    }),
    returns: z.array(entry),
    errors: { 404: 'Organization not found' },
    async handle({ params: { org_id }, query }) {
      const { id } = await requireOrganization(reports, org_id)
      return listBilling(reports, id, query)
    },
  })
}

/** A row with the names of both revisions of Ops-Center. */
function showOrganization(found: OrganizationBilling): z.output<typeof billingOfOrganization> {
  const { organization, subscription, credit_pool, user_allocations, usage } = found
  return {
    organization,
    subscription:
      subscription === null
        ? null
        : {
            plan: subscription.plan,
            subscription_plan: subscription.plan,
            monthly_price: dollarNumber(subscription.monthly_price),
            status: subscription.status,
            current_period_end: subscription.current_period_end,
            end_date: subscription.current_period_end,
          },
    credit_pool:
      credit_pool === null
        ? null
        : {
            total_credits: creditNumber(credit_pool.total_credits),
            allocated_credits: creditNumber(credit_pool.allocated_credits),
            used_credits: creditNumber(credit_pool.used_credits),
            available_credits: creditNumber(credit_pool.available_credits),
            monthly_refresh_amount: creditNumber(credit_pool.monthly_refresh_amount),
          },
    user_allocations: user_allocations.map((one) => ({
      user_id: one.user_id,
      allocated_credits: creditNumber(one.allocated_credits),
      used_credits: creditNumber(one.used_credits),
      remaining_credits: creditNumber(one.remaining_credits),
      reset_period: one.reset_period,
    })),
    usage_stats_30_days: {
      total_credits_used: usage.total_credits_used ?? 0,
      active_users: usage.active_users,
      total_requests: usage.total_requests,
    },
  }
}
