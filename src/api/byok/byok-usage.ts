/** The calls that were made with the caller's own key. */
import { z } from '@hono/zod-openapi'
import type { Database } from '../../db/connect.ts'
import { findByokUsage } from '../../reports/byok-usage.ts'
import { exactNumberSchema } from '../exact-number-schema.ts'
import { numberInQuery } from '../number-in-query.ts'
import { type Route, route } from '../route.ts'
import { byokProvider, byokProviderParams } from './byok-keys.ts'
import { byokOwner, scopeSchema } from './byok-owner.ts'

export function byokUsageRoute(reports: Database): Route {
  return route({
    method: 'get',
    path: '/api/v1/llm/byok/keys/{provider}/usage',
    may: 'byok:own',
    summary: 'The calls that were made with your own key',
    params: byokProviderParams,
    query: z.object({ scope: scopeSchema, days: numberInQuery('days', { min: 1, max: 366, default: 30 }) }),
    returns: z.object({
      provider: z.string(),
      period_days: z.int(),
      total_requests: z.int(),
      total_tokens: z.int(),
      total_cost: exactNumberSchema.openapi({
        description: 'What the provider charged, in dollars, as far as that is known.',
      }),
      last_used: z.iso.datetime().nullable(),
    }),
    errors: { 400: 'There is no such provider.' },
    async handle({ caller, params, query: { scope, days } }) {
      const owner = byokOwner(caller, scope)
      const { name, provider } = byokProvider(params.provider)
      const usage = await findByokUsage(reports, owner.kind, caller, provider, days)
      return { provider: name, period_days: days, ...usage }
    },
  })
}
