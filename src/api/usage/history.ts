/** Usage in groups, page by page: by day, week, month, user, service, model, provider or key. */
import { z } from '@hono/zod-openapi'
import { cursorAfter, type Dimension, type UsageGroup, usageBy, usageTotal } from '../../reports/usage-by.ts'
import { type Route, route } from '../route.ts'
import type { UsageDependencies } from './dependencies.ts'
import { filterFields, filterOf, pageFields, readCursor, readGroups, writeCursor } from './usage-query.ts'
import { shownSums, sumsFields } from './usage-schemas.ts'

const group = z
  .object({
    group: z.record(z.string(), z.string()).openapi({
      description: 'The value of each dimension of group_by. Empty where the charges have none.',
      example: { day: '2026-11-30', model: 'gpt-4o-mini' },
    }),
    ...sumsFields,
  })
  .openapi('UsageGroup')

const history = z
  .object({
    object: z.literal('usage'),
    from: z.iso.date(),
    until: z.iso.date().openapi({ description: 'The day after the last one.' }),
    total: z.object(sumsFields).openapi({ description: 'Of all pages.' }),
    data: z.array(group),
    next_cursor: z.string().nullable().openapi({ description: 'Null on the last page.' }),
  })
  .openapi('UsageHistory')

export function historyRoute({ reports, now }: UsageDependencies): Route {
  return route({
    method: 'get',
    path: '/api/v1/usage/history',
    may: 'credits:read_own',
    summary: 'What was used, by day, week, month, user, service, model, provider or key',
    description:
      'The newest first where group_by names a time, else the most expensive first. Days, weeks (from Monday) and months are in UTC. Every sum equals the books.',
    query: z.object({ ...filterFields, ...pageFields }),
    returns: history,
    errors: { 404: 'Organization not found' },
    async handle({ caller, query }) {
      const filter = filterOf(caller, query, now())
      const groups = readGroups(query.group_by) ?? []
      const page = { limit: query.limit, after: readCursor(query.cursor, groups) }
      const [total, found] = await Promise.all([usageTotal(reports, filter), usageBy(reports, filter, groups, page)])
      const data = found.slice(0, query.limit)
      return {
        object: 'usage' as const,
        from: filter.from,
        until: filter.until,
        total: shownSums(total),
        data: data.map((one) => ({ group: named(one, groups), ...shownSums(one) })),
        next_cursor: found.length > data.length ? writeCursor(cursorAfter(data.at(-1)!, groups)) : null,
      }
    },
  })
}

/** The values of a group by the names of its dimensions. */
export function named({ key }: UsageGroup, groups: readonly Dimension[]): Record<string, string> {
  return Object.fromEntries(groups.map((dimension, place) => [dimension, key[place] ?? '']))
}
