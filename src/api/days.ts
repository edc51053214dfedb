/** The days a report is asked for: `from` to `to`, in UTC. */
import { z } from '@hono/zod-openapi'
import { TollgateError } from '../http/errors.ts'

const DAY_MS = 86_400_000
const DAYS_USUAL = 30

const day = (name: string, what: string) =>
  z.iso
    .date(`"${name}" must be a day such as 2026-01-31.`)
    .refine((date) => date < '9000', `"${name}" must be a day before the year 9000.`)
    .optional()
    .openapi({ description: what })

export const dayFields = {
  from: day('from', 'The first day, in UTC; 30 days ago by default.'),
  to: day('to', 'The last day, in UTC; today by default.'),
}

/** `until` is the day after the last one. @throws {TollgateError} 422 for days that end before they begin. */
export function spanOf(
  asked: { from?: string | undefined; to?: string | undefined },
  now: Date,
): { from: string; to: string; until: string } {
  const to = asked.to ?? dayOf(now)
  const from = asked.from ?? dayOf(new Date(Date.parse(to) - (DAYS_USUAL - 1) * DAY_MS))
  if (from > to)
    throw new TollgateError(422, 'invalid_request', '"from" must not be later than "to".', { param: 'from' })
  return { from, to, until: dayOf(new Date(Date.parse(to) + DAY_MS)) }
}

export function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10)
}
