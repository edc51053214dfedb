/** The three summaries of billing, as callers of Ops-Center know them. An empty sum is the number 0, any other is a text. */
import { z } from '@hono/zod-openapi'
import { exactNumberSchema } from '../exact-number-schema.ts'

const creditSum = z.union([z.string(), z.number()]).openapi({ description: 'A text, or the number 0.', example: '103' })

export const billingOfUser = z
  .object({
    user_id: z.string(),
    user_email: z.string().nullable(),
    organizations: z.array(
      z.object({
        org_id: z.uuid(),
        org_name: z.string(),
        role: z.enum(['owner', 'admin', 'member', 'billing_admin']),
        subscription_plan: z.enum(['platform', 'byok', 'hybrid']).nullable(),
        monthly_price: exactNumberSchema,
        allocated_credits: exactNumberSchema,
        used_credits: exactNumberSchema,
        remaining_credits: exactNumberSchema,
      }),
    ),
    total_usage_last_30_days: z.object({
      total_credits_used: creditSum,
      org_count: z.number(),
      request_count: z.number(),
    }),
  })
  .openapi('UserBilling')

export const billingOfOrganization = z
  .object({
    organization: z.object({
      id: z.uuid(),
      name: z.string(),
      display_name: z.string().nullable(),
      max_seats: z.number(),
      status: z.string(),
    }),
    subscription: z
      .object({
        plan: z.string(),
        subscription_plan: z.string(),
        monthly_price: exactNumberSchema,
        status: z.string(),
        current_period_end: z.iso.datetime().nullable(),
        end_date: z.iso.datetime().nullable(),
      })
      .nullable(),
    credit_pool: z
      .object({
        total_credits: exactNumberSchema,
        allocated_credits: exactNumberSchema,
        used_credits: exactNumberSchema,
        available_credits: exactNumberSchema,
        monthly_refresh_amount: exactNumberSchema,
      })
      .nullable(),
    user_allocations: z.array(
      z.object({
        user_id: z.string(),
        allocated_credits: exactNumberSchema,
        used_credits: exactNumberSchema,
        remaining_credits: exactNumberSchema,
        reset_period: z.string(),
      }),
    ),
    usage_stats_30_days: z.object({
      total_credits_used: creditSum,
      active_users: z.number(),
      total_requests: z.number(),
    }),
  })
  .openapi('OrganizationBilling')

export const billingOfSystem = z
  .object({
    organizations: z.array(
      z.object({
        org_id: z.uuid(),
        org_name: z.string(),
        subscription_plan: z.string().nullable(),
        monthly_price: exactNumberSchema,
        subscription_status: z.string().nullable(),
        total_credits: exactNumberSchema,
        used_credits: exactNumberSchema,
        member_count: z.number(),
        lifetime_spent: exactNumberSchema,
      }),
    ),
    revenue_metrics: z.object({
      total_mrr: exactNumberSchema,
      total_arr: exactNumberSchema,
      active_subscriptions: z.number(),
    }),
    subscription_distribution: z.array(z.object({ plan: z.string(), count: z.number(), mrr: exactNumberSchema })),
    top_organizations_by_usage: z.array(
      z.object({
        org_id: z.uuid(),
        total_credits_30_days: z.string().openapi({ example: '103' }),
        user_count: z.number(),
      }),
    ),
  })
  .openapi('SystemBilling')
