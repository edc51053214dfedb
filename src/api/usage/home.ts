/** What one sees first: what there is to spend, and what was spent. */
import { z } from '@hono/zod-openapi'
import { home } from '../../reports/home.ts'
import { type Route, route } from '../route.ts'
import type { UsageDependencies } from './dependencies.ts'

const credits = (description: string) => z.string().openapi({ description, example: '41.25' })

export function homeRoute({ reports, now }: UsageDependencies): Route {
  return route({
    method: 'get',
    path: '/api/v1/home',
    may: 'credits:read_own',
    summary: 'What you can spend, what running calls hold, what was spent',
    returns: z
      .object({
        available: credits('Credits that can be spent now: without what running calls hold.'),
        allocated: credits('Of how many in this period; null without an allocation.').nullable(),
        held: credits('Credits that running calls hold.'),
        running_calls: z.number().int(),
        spent_today: credits('Since midnight, UTC.'),
        spent_month: credits('Since the first of the month, UTC.'),
        lasts_until: z.string().nullable().openapi({
          format: 'date',
          description:
            'The day the credits last to, at the pace of the last seven days. Null where nothing was spent, or more than a year away.',
        }),
        resets_at: z.string().nullable().openapi({ format: 'date-time', description: 'When the allocation is reset.' }),
      })
      .openapi('Home'),
    handle: ({ caller }) => home(reports, caller, now()),
  })
}
