/** A caller's credits: what is left, and every row of the books that changed them. */
import { z } from '@hono/zod-openapi'
import type { Database } from '../../db/connect.ts'
import { isUuid } from '../../db/uuid.ts'
import { TollgateError } from '../../http/errors.ts'
import { requirePermission } from '../../identity/permissions.ts'
import { countTransactions, findRemaining, listTransactions, type Payer } from '../../reports/caller-credits.ts'
import { exactNumberSchema } from '../exact-number-schema.ts'
import { numberInQuery } from '../number-in-query.ts'
import { creditNumber } from '../org-billing/amounts.ts'
import { type CallerRequest, type Route, route } from '../route.ts'
import { tierOf } from './tier.ts'

/** The user whose credits are asked for. */
export const someone = {
  user_id: z.string().max(255).optional().openapi({ description: 'For system administrators: another user.' }),
  org_id: z
    .string()
    .max(64)
    .optional()
    .openapi({ description: 'For system administrators: the organization of that user.' }),
}

const credits = z
  .object({
    user_id: z.string(),
    credits_remaining: exactNumberSchema.openapi({ description: 'What running calls hold is not included.' }),
    tier: z.string(),
    monthly_cap: z.number().nullable(),
    power_level: z.string(),
  })
  .openapi('Credits')

const transaction = z
  .object({
    id: z.string(),
    amount: exactNumberSchema.openapi({ description: 'Credits; negative for what was spent.' }),
    transaction_type: z.enum(['usage', 'allocation', 'reset', 'refund', 'adjustment']),
    provider: z.string().nullable(),
    model: z.string().nullable(),
    service_type: z.string().nullable(),
    tokens_used: z.number().nullable(),
    request_id: z.string().nullable(),
    session_id: z.string().nullable().openapi({ description: 'As the client named it.' }),
    note: z.string().nullable(),
    created_at: z.iso.datetime(),
  })
  .openapi('CreditTransaction')

/** @param base the path the routes stand under: `/api/v1/llm/credits`. */
export function creditRoutes(reports: Database, base: string): Route[] {
  return [
    route({
      method: 'get',
      path: base,
      may: 'credits:read_own',
      summary: 'Your credits',
      query: z.object(someone),
      returns: credits,
      errors: { 403: 'You are not a system administrator and asked about another user, or there is no allocation.' },
      async handle(request) {
        const payer = payerOf(request)
        const remaining = await findRemaining(reports, payer)
        if (remaining === null)
          throw new TollgateError(403, 'no_allocation', `No credit allocation found for user ${payer.userId}`)
        return {
          user_id: payer.userId,
          credits_remaining: creditNumber(remaining),
          tier: tierOf(request.caller),
          monthly_cap: null,
          power_level: 'balanced',
        }
      },
    }),
    route({
      method: 'get',
      path: `${base}/history`,
      may: 'credits:read_own',
      summary: 'What you spent and were given, newest first',
      query: z.object({
        ...someone,
        session_id: z.string().max(200).optional().openapi({ description: 'Calls of one session only.' }),
        limit: numberInQuery('limit', { min: 1, max: 1_000, default: 50 }),
        offset: numberInQuery('offset', { min: 0, max: 1_000_000_000, default: 0 }),
      }),
      returns: z.object({
        transactions: z.array(transaction),
        total: z.number().openapi({ description: 'The number of entries on all pages.' }),
        limit: z.number(),
        offset: z.number(),
      }),
      async handle(request) {
        const { limit, offset, session_id: session = null } = request.query
        const payer = payerOf(request)
        const [rows, total] = await Promise.all([
          listTransactions(reports, payer, { limit, offset, session }),
          countTransactions(reports, payer, session),
        ])
        const transactions = rows.map((row) => ({ ...row, amount: creditNumber(row.amount) }))
        return { transactions, total, limit, offset }
      },
    }),
  ]
}

/** The caller, or the user that a system administrator names. @throws {TollgateError} 403. */
export function payerOf({
  caller,
  query,
}: CallerRequest<unknown, { user_id?: string | undefined; org_id?: string | undefined }>): Payer {
  const { user_id = caller.userId, org_id = caller.organizationId } = query
  if (user_id !== caller.userId || org_id !== caller.organizationId) requirePermission(caller, 'billing:system')
  if (!isUuid(org_id)) throw new TollgateError(404, 'NOT_FOUND', 'Organization not found')
  return { organizationId: org_id, userId: user_id }
}
