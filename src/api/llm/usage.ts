/** What a caller's calls used: one object with the members of both of Ops-Center's routers. */
import { z } from '@hono/zod-openapi'
import { divideUp, formatDecimal, parseDecimal } from '../../metering/money.ts'
import { callerUsage } from '../../reports/caller-usage.ts'
import { exactNumberSchema } from '../exact-number-schema.ts'
import { numberInQuery } from '../number-in-query.ts'
import { creditNumber } from '../org-billing/amounts.ts'
import { type Route, route } from '../route.ts'
import { payerOf } from './credits.ts'
import type { LlmDependencies } from './dependencies.ts'

const usage = z
  .object({
    total_providers: z.number(),
    active_models: z.number(),
    total_calls: z.number(),
    total_requests: z.number(),
    total_tokens: z.number(),
    total_cost: exactNumberSchema.openapi({ description: 'Credits.' }),
    avg_cost_per_request: exactNumberSchema,
    providers: z.array(
      z.object({
        provider: z.string(),
        provider_id: z.string(),
        provider_name: z.string(),
        requests: z.number(),
        tokens: z.number(),
        cost: exactNumberSchema,
        avg_latency_ms: z.number().nullable(),
        unique_users: z.number(),
      }),
    ),
    period_days: z.number(),
  })
  .openapi('CallerUsage')

export function usageRoute({ reports }: LlmDependencies): Route {
  return route({
    method: 'get',
    path: '/api/v1/llm/usage',
    may: 'credits:read_own',
    summary: 'What your calls used, by provider',
    query: z.object({
      days: numberInQuery('days', { min: 1, max: 365, default: 30 }),
      user_id: z.string().max(255).optional(),
      org_id: z.string().max(64).optional(),
    }),
    returns: usage,
    async handle(request) {
      const { days } = request.query
      const found = await callerUsage(reports, payerOf(request), days)
      const { total_requests, total_tokens, total_cost, active_models, providers } = found
      return {
        total_providers: providers.length,
        active_models,
        total_calls: total_requests,
        total_requests,
        total_tokens: Number(total_tokens),
        total_cost: creditNumber(total_cost),
        avg_cost_per_request: creditNumber(averageOf(total_cost, total_requests)),
        providers: providers.map(({ provider, tokens, cost, ...one }) => ({
          provider,
          provider_id: provider,
          provider_name: provider,
          ...one,
          tokens: Number(tokens),
          cost: creditNumber(cost),
        })),
        period_days: days,
      }
    },
  })
}

function averageOf(credits: string, requests: number): string {
  return requests === 0 ? '0' : formatDecimal(divideUp(parseDecimal(credits, 6), BigInt(requests)), 6)
}
