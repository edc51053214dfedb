/** What the usage screen shows, as its address says: a period, how it is grouped, whose it is, and whether the period before is beside it. */
import dayjs from 'dayjs'
import { SCOPES, type Scope } from '../../api/scope.ts'

export const GROUPS = ['day', 'model', 'key', 'user'] as const
export type GroupBy = (typeof GROUPS)[number]
export const PERIODS = ['7', '30', 'month', 'last-month', 'days'] as const
export type Period = (typeof PERIODS)[number]

export interface UsageSearch {
  period: Period
  by: GroupBy
  scope: Scope
  compare: boolean
  /** Days in UTC, for the period `days`. */
  from?: string
  to?: string
}

export interface Span {
  from: string
  /** The last day. */
  to: string
}

const DAY = /^\d{4}-\d\d-\d\d$/
const FORMAT = 'YYYY-MM-DD'

export function usageSearch(search: Record<string, unknown>): UsageSearch {
  return {
    period: oneOf(PERIODS, search.period) ?? '30',
    by: oneOf(GROUPS, search.by) ?? 'day',
    scope: oneOf(SCOPES, search.scope) ?? 'user',
    compare: search.compare === true,
    ...dayIn('from', search.from),
    ...dayIn('to', search.to),
  }
}

/** @param today in UTC, as the books count days. */
export function spanOf({ period, from, to }: UsageSearch, today: string): Span {
  const day = dayjs(today)
  if (period === 'month') return { from: day.startOf('month').format(FORMAT), to: today }
  if (period === 'last-month') {
    const before = day.subtract(1, 'month')
    return { from: before.startOf('month').format(FORMAT), to: before.endOf('month').format(FORMAT) }
  }
  if (period === 'days') return { from: from ?? today, to: to ?? today }
  return { from: day.subtract(Number(period) - 1, 'day').format(FORMAT), to: today }
}

/** As many days, right before; a whole month before a whole month. */
export function spanBefore(span: Span, period: Period): Span {
  const from = dayjs(span.from)
  if (period === 'last-month' || period === 'month') {
    const start = from.subtract(1, 'month')
    const whole = period === 'last-month' ? start.endOf('month') : dayjs(span.to).subtract(1, 'month')
    return { from: start.format(FORMAT), to: whole.format(FORMAT) }
  }
  const days = dayjs(span.to).diff(from, 'day') + 1
  return { from: from.subtract(days, 'day').format(FORMAT), to: from.subtract(1, 'day').format(FORMAT) }
}

/** Every day of a span, in order. */
export function daysOf({ from, to }: Span): string[] {
  const count = dayjs(to).diff(dayjs(from), 'day') + 1
  return Array.from({ length: Math.max(0, count) }, (_, index) => dayjs(from).add(index, 'day').format(FORMAT))
}

export function todayInUtc(): string {
  return new Date().toISOString().slice(0, 10)
}

function oneOf<T extends string>(values: readonly T[], value: unknown): T | undefined {
  return values.find((one) => one === String(value))
}

function dayIn(name: 'from' | 'to', value: unknown): Partial<Record<'from' | 'to', string>> {
  return typeof value === 'string' && DAY.test(value) ? { [name]: value } : {}
}
