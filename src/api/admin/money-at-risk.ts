/** What the operator may owe providers beyond what was charged: for system administrators. */
import { z } from '@hono/zod-openapi'
import type { Database } from '../../db/connect.ts'
import { moneyAtRisk } from '../../reports/money-at-risk.ts'
import { dayFields, spanOf } from '../days.ts'
import { type Route, route } from '../route.ts'

const risk = z
  .object({
    day: z.iso.date(),
    provider: z.string(),
    unknown_calls: z.number().int().openapi({ description: 'Calls that went out and whose end nobody knows.' }),
    unknown_dollars: z.string().openapi({
      example: '0.1284',
      description: 'What the provider may bill for them at most, less what callers were charged for it.',
    }),
    open_disputes: z.number().int(),
    disputed_dollars: z.string().openapi({
      description: 'What the provider stated beyond what was charged, of disputes that are not settled.',
    }),
  })
  .openapi('MoneyAtRisk')

export function moneyAtRiskRoute(reports: Database, now: () => Date): Route {
  return route({
    method: 'get',
    path: '/api/v1/admin/money-at-risk',
    may: 'billing:system',
    summary: 'What providers may bill beyond what callers were charged, by day and provider',
    query: z.object(dayFields),
    returns: z.object({ from: z.iso.date(), to: z.iso.date(), risks: z.array(risk) }),
    async handle({ query: asked }) {
      const { from, to, until } = spanOf(asked, now())
      return { from, to, risks: await moneyAtRisk(reports, { from, until }) }
    },
  })
}
