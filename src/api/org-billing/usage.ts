/** What an organization and its users used, and charges by a service for work done elsewhere. */
import { z } from '@hono/zod-openapi'
import { deductCredits } from '../../billing/deduct-credits.ts'
import { requirePermission } from '../../identity/permissions.ts'
import { organizationUsage } from '../../reports/organization-usage.ts'
import { listUserCharges, type UserCharge } from '../../reports/user-charges.ts'
import { changeRoute } from '../change-route.ts'
import { exactNumberSchema } from '../exact-number-schema.ts'
import { numberInQuery } from '../number-in-query.ts'
import { type Route, route } from '../route.ts'
import { creditNumber, decimalCredits } from './amounts.ts'
import type { OrgBillingDependencies } from './dependencies.ts'
import { requireOrganization } from './organization-of.ts'

const base = '/api/v1/org-billing'
const orgAndUser = z.object({ org_id: z.string(), user_id: z.string() })

const usage = z
  .object({
    org_id: z.uuid(),
    total_credits_used: exactNumberSchema,
    user_count: z.number(),
    service_breakdown: z.record(z.string(), exactNumberSchema),
    top_users: z.array(
      z.object({
        user_id: z.string(),
        total_credits: z.string().openapi({ example: '103' }),
        request_count: z.number(),
      }),
    ),
    date_range_start: z
      .string()
      .openapi({ description: 'UTC, without a zone.', example: '2026-11-01T12:00:00.000000' }),
    date_range_end: z.string(),
  })
  .openapi('OrganizationUsage')

const deduction = {
  service_type: z.string().min(1).max(100),
  service_name: z.string().max(200).nullish(),
  request_id: z.string().max(255).nullish(),
  request_metadata: z.record(z.string(), z.unknown()).nullish(),
}

const deducted = z
  .object({
    success: z.literal(true),
    org_id: z.string(),
    user_id: z.string(),
    credits_used: exactNumberSchema,
    remaining_credits: exactNumberSchema,
  })
  .openapi('CreditsDeducted')

const DEDUCT_ERRORS = { 402: 'Insufficient credits', 403: 'The user has no allocation, or the caller may not.' }

export function usageRoutes(deps: OrgBillingDependencies): Route[] {
  return [deductRoute(deps), usageRoute(deps), userUsageRoute(deps), legacyDeductRoute(deps)]
}

function usageRoute({ reports }: OrgBillingDependencies): Route {
  return route({
    method: 'get',
    path: `${base}/credits/{org_id}/usage`,
    may: 'usage:read',
    organization: 'org_id',
    summary: 'What an organization used, by service and by user',
    params: z.object({ org_id: z.string() }),
    query: z.object({ days: numberInQuery('days', { min: 1, max: 365, default: 30 }) }),
    returns: usage,
    errors: { 404: 'Organization not found' },
    async handle({ params: { org_id }, query: { days } }) {
      const { id } = await requireOrganization(reports, org_id)
      const { total_credits_used, services, ...found } = await organizationUsage(reports, id, days)
      return {
        org_id: id,
        total_credits_used: creditNumber(total_credits_used),
        user_count: found.user_count,
        service_breakdown: Object.fromEntries(
          services.map(({ service_type, credits }) => [service_type, creditNumber(credits)]),
        ),
        top_users: found.top_users,
        date_range_start: found.date_range_start,
        date_range_end: found.date_range_end,
      }
    },
  })
}

function deductRoute({ reports }: OrgBillingDependencies): Route {
  return changeRoute(reports, {
    method: 'post',
    path: `${base}/credits/deduct`,
    may: 'organizations:read_own',
    summary: 'Charge a member for work done elsewhere',
    description:
      'Services and organization admins. The same as the SQL function deduct_credits: within ten minutes, a repeated request_id with all else equal makes no second charge.',
    body: z.object({
      org_id: z.string(),
      user_id: z.string().min(1).max(255),
      credits_used: decimalCredits('credits_used'),
      ...deduction,
    }),
    returns: deducted,
    errors: DEDUCT_ERRORS,
    async prepare({ caller, body }) {
      requirePermission(caller, 'credits:deduct', body.org_id)
      return requireOrganization(reports, body.org_id)
    },
    async make(transaction, { id }, { body }) {
      const { user_id, credits_used, service_type, service_name, request_id, request_metadata } = body
      const left = await deductCredits(transaction, {
        organizationId: id,
        userId: user_id,
        credits: credits_used,
        serviceType: service_type,
        serviceName: service_name ?? null,
        requestId: request_id ?? null,
        metadata: request_metadata ?? null,
      })
      return {
        success: true as const,
        org_id: id,
        user_id,
        credits_used: creditNumber(credits_used),
        remaining_credits: creditNumber(left),
      }
    },
  })
}

const charge = z
  .object({
    id: z.uuid(),
    service_type: z.string(),
    service_name: z.string().nullable(),
    credits_used: exactNumberSchema,
    credits_refunded: exactNumberSchema,
    request_id: z.string().nullable(),
    session_id: z.string().nullable(),
    request_metadata: z.unknown(),
    created_at: z.iso.datetime(),
  })
  .openapi('Charge')

/** The same for an older client of Ops-Center. */
function userUsageRoute({ reports }: OrgBillingDependencies): Route {
  return route({
    method: 'get',
    path: `${base}/usage/{org_id}/{user_id}`,
    may: 'pool:read',
    organization: 'org_id',
    summary: 'The charges of one member, newest first',
    description: 'The member, organization admins and billing admins.',
    params: orgAndUser,
    query: z.object({
      session_id: z.string().max(200).optional(),
      limit: numberInQuery('limit', { min: 1, max: 500, default: 50 }),
      offset: numberInQuery('offset', { min: 0, max: 1_000_000, default: 0 }),
    }),
    returns: z.object({ usage: z.array(charge) }),
    errors: { 404: 'Organization not found' },
    async handle({ caller, params: { org_id, user_id }, query }) {
      if (user_id !== caller.userId) requirePermission(caller, 'usage:read_members', org_id)
      const { id } = await requireOrganization(reports, org_id)
      return { usage: (await listUserCharges(reports, id, user_id, query)).map(showCharge) }
    },
  })
}

/** Charges for an older client of Ops-Center. */
function legacyDeductRoute({ reports }: OrgBillingDependencies): Route {
  return changeRoute(reports, {
    method: 'post',
    path: `${base}/usage/{org_id}/{user_id}`,
    may: 'credits:deduct',
    organization: 'org_id',
    summary: 'Charge a member for work done elsewhere, under the path of an older client',
    params: orgAndUser,
    body: z.object({
      credits_used: decimalCredits('credits_used'),
      service_type: z.string().max(100).default('llm_inference'),
      service_name: z.string().max(200).nullish(),
      model: z.string().max(200).nullish(),
      request_tokens: z.number().int().min(0).nullish(),
      response_tokens: z.number().int().min(0).nullish(),
      metadata: z.record(z.string(), z.unknown()).nullish(),
    }),
    returns: deducted,
    status: 201,
    errors: DEDUCT_ERRORS,
    prepare: ({ params }) => requireOrganization(reports, params.org_id),
    async make(transaction, { id }, { params: { user_id }, body }) {
      const { credits_used, service_type, service_name, model, request_tokens, response_tokens, metadata } = body
      const left = await deductCredits(transaction, {
        organizationId: id,
        userId: user_id,
        credits: credits_used,
        serviceType: service_type,
        serviceName: model ?? service_name ?? null,
        requestId: null,
        metadata: { ...metadata, service_name, request_tokens, response_tokens },
      })
      return {
        success: true as const,
        org_id: id,
        user_id,
        credits_used: creditNumber(credits_used),
        remaining_credits: creditNumber(left),
      }
    },
  })
}

function showCharge({ credits_used, credits_refunded, ...row }: UserCharge): z.output<typeof charge> {
  return { ...row, credits_used: creditNumber(credits_used), credits_refunded: creditNumber(credits_refunded) }
}
