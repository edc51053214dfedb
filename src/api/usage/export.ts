/** Usage as a file: CSV in the groups that are asked for, or FOCUS for FinOps tools. */
import { z } from '@hono/zod-openapi'
import { cursorAfter, type Dimension, type UsageGroup, usageBy } from '../../reports/usage-by.ts'
import { numberInQuery } from '../number-in-query.ts'
import { Reply } from '../reply.ts'
import { type Route, route } from '../route.ts'
import { csv } from './csv.ts'
import type { UsageDependencies } from './dependencies.ts'
import { FOCUS_COLUMNS, FOCUS_GROUPS, focusRow } from './focus.ts'
import { filterFields, filterOf, pageFields, readCursor, readGroups, writeCursor } from './usage-query.ts'

const ROWS_MAX = 10_000
const SUMS = [
  ...(['calls', 'failed_calls', 'credits', 'cost', 'provider_cost'] as const),
  ...(['input_tokens', 'cached_tokens', 'output_tokens'] as const),
]

export function exportRoute({ reports, now }: UsageDependencies): Route {
  return route({
    method: 'get',
    path: '/api/v1/usage/export',
    may: 'credits:read_own',
    summary: 'What was used, as CSV or in the columns of FinOps FOCUS',
    description: `Up to ${ROWS_MAX} rows; X-Next-Cursor names the next page. FOCUS rows are by day, organization, user, service, model, provider and key.`,
    query: z.object({
      ...filterFields,
      ...pageFields,
      format: z.enum(['csv', 'focus']).default('csv'),
      limit: numberInQuery('limit', { min: 1, max: ROWS_MAX, default: ROWS_MAX }),
    }),
    produces: 'text/csv',
    returns: z.string(),
    errors: { 404: 'Organization not found' },
    async handle({ caller, query }) {
      const { format, limit } = query
      const filter = filterOf(caller, query, now())
      const groups = format === 'focus' ? FOCUS_GROUPS : (readGroups(query.group_by) ?? [])
      const found = await usageBy(reports, filter, groups, { limit, after: readCursor(query.cursor, groups) })
      const page = found.slice(0, limit)
      const next = found.length > page.length ? { 'X-Next-Cursor': writeCursor(cursorAfter(page.at(-1)!, groups)) } : {}
      return new Reply(format === 'focus' ? csv(FOCUS_COLUMNS, page.map(focusRow)) : plain(groups, page), {
        headers: {
          'Content-Type': 'text/csv; charset=utf-8',
          'Content-Disposition': `attachment; filename="usage-${filter.from}-${format}.csv"`,
          ...next,
        },
      })
    },
  })
}

function plain(groups: readonly Dimension[], page: readonly UsageGroup[]): string {
  return csv(
    [...groups, ...SUMS],
    page.map((one) => [...one.key, ...SUMS.map((name) => one[name])]),
  )
}
