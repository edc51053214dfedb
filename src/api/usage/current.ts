/** What a caller used since the month began, and what is left. */
import { z } from '@hono/zod-openapi'
import { findRemaining } from '../../reports/caller-credits.ts'
import { usageBy, usageTotal } from '../../reports/usage-by.ts'
import { dayOf } from '../days.ts'
import { exactNumberOrNull } from '../exact-number-schema.ts'
import { creditNumber } from '../org-billing/amounts.ts'
import { type Route, route } from '../route.ts'
import type { UsageDependencies } from './dependencies.ts'
import { shownSums, sumsFields } from './usage-schemas.ts'

const MODELS_MAX = 1_000

const current = z
  .object({
    org_id: z.uuid(),
    user_id: z.string(),
    period_start: z.iso.date(),
    period_end: z.iso.date().openapi({ description: 'The first day of the next month.' }),
    credits_remaining: exactNumberOrNull.openapi({
      description: 'What running calls hold is not included. Null without an allocation.',
    }),
    ...sumsFields,
    models: z
      .array(z.object({ model: z.string(), ...sumsFields }))
      .openapi({ description: 'The most expensive first.' }),
  })
  .openapi('CurrentUsage')

export function currentRoute({ reports, now }: UsageDependencies): Route {
  return route({
    method: 'get',
    path: '/api/v1/usage/current',
    may: 'credits:read_own',
    summary: 'What you used since the month began',
    returns: current,
    async handle({ caller }) {
      const { organizationId, userId } = caller
      const at = now()
      const from = dayOf(new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), 1)))
      const until = dayOf(new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1, 1)))
      const filter = { from, until, organizationId, userId }
      const [total, models, remaining] = await Promise.all([
        usageTotal(reports, filter),
        usageBy(reports, filter, ['model'], { limit: MODELS_MAX, after: null }),
        findRemaining(reports, { organizationId, userId }),
      ])
      return {
        org_id: organizationId,
        user_id: userId,
        period_start: from,
        period_end: until,
        credits_remaining: remaining === null ? null : creditNumber(remaining),
        ...shownSums(total),
        models: models.slice(0, MODELS_MAX).map((one) => ({ model: one.key[0] ?? '', ...shownSums(one) })),
      }
    },
  })
}
