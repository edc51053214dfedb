/** What routes of spending take. */
import { z } from '@hono/zod-openapi'
import { ANY_SPEND, type SpendFilter } from '../../reports/spend.ts'

const day = (name: string) =>
  z
    .string()
    .refine(
      (text) => isTime(text),
      `"${name}" must be a day such as 2026-01-31, or a time such as 2026-01-31 12:00:00.`,
    )
    .optional()

export const PERIOD = { start_date: day('start_date'), end_date: day('end_date') }

const FORM = /^\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?Z?)?$/

function isTime(text: string): boolean {
  return FORM.test(text) && !Number.isNaN(Date.parse(utc(text)))
}

function utc(text: string): string {
  return text.length === 10 ? `${text}T00:00:00Z` : `${text.replace(' ', 'T').replace(/Z$/, '')}Z`
}

const DAY_MS = 86_400_000

/** In UTC. A day that ends a period belongs to it. */
export function periodOf(query: {
  start_date?: string | undefined
  end_date?: string | undefined
}): Pick<SpendFilter, 'since' | 'until'> {
  const { start_date: start, end_date: end } = query
  const until = end === undefined ? null : Date.parse(utc(end)) + (end.length === 10 ? DAY_MS : 0)
  return {
    since: start === undefined ? null : new Date(utc(start)).toISOString(),
    until: until === null ? null : new Date(until).toISOString(),
  }
}

/** The last thirty days where the query does not say. */
export function recentOf(
  query: { start_date?: string | undefined; end_date?: string | undefined },
  now: Date,
): SpendFilter {
  const { since, until } = periodOf(query)
  return { ...ANY_SPEND, since: since ?? new Date(now.getTime() - 30 * DAY_MS).toISOString(), until }
}
