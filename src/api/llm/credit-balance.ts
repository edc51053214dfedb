/**
 * Ops-Center's `/api/v1/credits`: a balance in its own words, allocation and deduction by amount. There a user had credits of their own;
 * here the user has an allocation of the organization's pool, so allocated credits come out of that pool.
 */
import { z } from '@hono/zod-openapi'
import { allocateCredits } from '../../billing/allocations.ts'
import { deductCredits } from '../../billing/deduct-credits.ts'
import { isUuid } from '../../db/uuid.ts'
import { TollgateError } from '../../http/errors.ts'
import type { Caller } from '../../identity/caller.ts'
import { requirePermission } from '../../identity/permissions.ts'
import { creditsToMicro, trimDecimal } from '../../metering/money.ts'
import { type Balance, findBalance, type Payer } from '../../reports/caller-credits.ts'
import { changeRoute } from '../change-route.ts'
import { exactNumberSchema } from '../exact-number-schema.ts'
import { creditNumber, decimalCredits } from '../org-billing/amounts.ts'
import { requireOrganization } from '../org-billing/organization-of.ts'
import { type Route, route } from '../route.ts'
import { payerOf, someone } from './credits.ts'
import type { LlmDependencies } from './dependencies.ts'
import { tierOf } from './tier.ts'

const BASE = '/api/v1/credits'

const balance = z
  .object({
    user_id: z.string(),
    balance: z.string().openapi({ description: 'Credits that can be spent now.', example: '950.25' }),
    allocated_monthly: z.string().openapi({ description: 'What is allocated in each period.' }),
    bonus_credits: z.literal('0').openapi({ description: 'Always 0: all credits are allocated.' }),
    free_tier_used: z.literal('0'),
    reset_date: z.iso.datetime().openapi({ description: 'When the allocation was last reset.' }),
    last_updated: z.iso.datetime(),
    created_at: z.iso.datetime(),
    tier: z.string(),
    credits_remaining: exactNumberSchema.openapi({ description: 'The balance, as a number.' }),
    monthly_cap: z.number().nullable(),
    power_level: z.string(),
  })
  .openapi('CreditBalance')

const amount = decimalCredits('amount').refine((text) => Number(text) > 0, '"amount" must be more than 0.')
const whose = {
  user_id: z.string().min(1).max(255),
  org_id: z.string().max(64).optional().openapi({ description: "Left out: the caller's own." }),
  metadata: z.record(z.string(), z.unknown()).nullish(),
}

export function creditBalanceRoutes(deps: LlmDependencies): readonly Route[] {
  return [balanceRoute(deps), allocateRoute(deps), deductRoute(deps)]
}

function balanceRoute({ reports }: LlmDependencies): Route {
  return route({
    method: 'get',
    path: `${BASE}/balance`,
    may: 'credits:read_own',
    summary: 'Your credits, with what is allocated and since when',
    query: z.object(someone),
    returns: balance,
    errors: { 403: 'You are not a system administrator and asked about another user, or there is no allocation.' },
    async handle(request) {
      const payer = payerOf(request)
      return showBalance(payer, request.caller, await findBalance(reports, payer))
    },
  })
}

function allocateRoute({ reports }: LlmDependencies): Route {
  return changeRoute(reports, {
    method: 'post',
    path: `${BASE}/allocate`,
    may: 'organizations:read_own',
    summary: 'Give credits of the pool to a member',
    description: 'Organization admins. Added to what the member has.',
    body: z.object({ ...whose, amount, source: z.string().min(1).max(200) }),
    returns: balance,
    errors: { 400: 'The user is not a member, or the pool has fewer credits.', 404: 'Organization not found' },
    prepare: ({ caller, body }) => organizationOf(reports, caller, 'allocations:change', body.org_id),
    async make(transaction, { id }, { caller, body }) {
      const payer = { organizationId: id, userId: body.user_id }
      const notes = body.source
      const wanted = { ...payer, credits: body.amount, resetPeriod: null, notes, actor: caller.userId }
      await allocateCredits(transaction, wanted)
      return showBalance(payer, caller, await findBalance({ query: transaction }, payer))
    },
  })
}

function deductRoute({ reports }: LlmDependencies): Route {
  return changeRoute(reports, {
    method: 'post',
    path: `${BASE}/deduct`,
    may: 'organizations:read_own',
    summary: 'Charge a member for work done elsewhere, by amount',
    description: 'Services and organization admins. `request_id` makes it one charge for ten minutes.',
    body: z.object({
      ...whose,
      amount,
      service: z.string().min(1).max(100),
      model: z.string().max(200).nullish(),
      request_id: z.string().max(255).nullish(),
      cost_breakdown: z.record(z.string(), z.unknown()).nullish(),
    }),
    returns: balance,
    errors: { 402: 'Insufficient credits', 403: 'The user has no allocation, or the caller may not.' },
    prepare: ({ caller, body }) => organizationOf(reports, caller, 'credits:deduct', body.org_id),
    async make(transaction, { id }, { caller, body }) {
      const payer = { organizationId: id, userId: body.user_id }
      const { cost_breakdown: breakdown, metadata } = body
      const noted =
        breakdown === undefined || breakdown === null ? (metadata ?? null) : { ...metadata, cost_breakdown: breakdown }
      await deductCredits(transaction, {
        ...payer,
        credits: body.amount,
        serviceType: body.service,
        serviceName: body.model ?? null,
        requestId: body.request_id ?? null,
        metadata: noted,
      })
      return showBalance(payer, caller, await findBalance({ query: transaction }, payer))
    },
  })
}

/** @throws {TollgateError} 403, 404. */
async function organizationOf(
  database: LlmDependencies['reports'],
  caller: Caller,
  permission: 'allocations:change' | 'credits:deduct',
  named: string | undefined,
): Promise<{ id: string }> {
  const id = named ?? caller.organizationId
  requirePermission(caller, permission, id)
  if (!isUuid(id)) throw new TollgateError(404, 'NOT_FOUND', 'Organization not found')
  return requireOrganization(database, id)
}

/** @throws {TollgateError} 403 where there is no allocation. */
function showBalance({ userId }: Payer, caller: Caller, found: Balance | null): z.output<typeof balance> {
  if (found === null) throw new TollgateError(403, 'no_allocation', `No credit allocation found for user ${userId}`)
  const plain = (credits: string) => trimDecimal(creditsToMicro(credits), 6)
  return {
    user_id: userId,
    balance: plain(found.remaining),
    allocated_monthly: plain(found.allocated),
    bonus_credits: '0' as const,
    free_tier_used: '0' as const,
    reset_date: found.last_reset,
    last_updated: found.updated_at,
    created_at: found.created_at,
    tier: tierOf(caller),
    credits_remaining: creditNumber(found.remaining),
    monthly_cap: null,
    power_level: 'balanced',
  }
}
