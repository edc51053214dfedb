/** What a provider says it billed. Amounts are nano-dollars (10^-9), days are days in UTC. */
import { parseDecimal } from '../metering/money.ts'

export const BILLERS = ['openai', 'anthropic', 'openrouter'] as const
export type Biller = (typeof BILLERS)[number]

/** Both in, `2026-11-30`. */
export interface Span {
  from: string
  to: string
}

export interface BilledLine {
  day: string
  /** As the provider names it; OTHER where the line is of no model. */
  model: string
  /** The provider's id of the key; null where the report does not say. */
  key: string | null
  nanoDollars: bigint
}

/** Of a report that counts what was used. */
export interface BilledUse {
  day: string
  model: string
  key: string | null
  /** Null where the report counts tokens only. */
  calls: number | null
  inputTokens: number
  outputTokens: number
}

export interface Bill {
  lines: BilledLine[]
  use: BilledUse[]
}

/** A line of a bill that is of no model: searches, sessions, storage. */
export const OTHER = '(other)'

/** Providers that sum floats state parts of a nano-dollar: those are rounded away from zero. @throws {RangeError} */
export function nanoDollars(amount: string | number, scale = 9): bigint {
  return parseDecimal(String(amount), scale, { roundUp: true })
}

/** OpenAI's line items are a model and what of it was used: `gpt-4o-mini-2024-07-18, input`. Names of models have no spaces. */
export function modelOfItem(item: string | null): string {
  const [name = ''] = (item ?? '').split(', ')
  return name === '' || name.includes(' ') ? OTHER : name
}

/** Two names of one model: providers bill by the version (`gpt-4o-2024-08-06`, `claude-haiku-4-5-20251001`) that others leave out. */
export function comparable(model: string): string {
  return model.toLowerCase().replace(/-(?:\d{4}-\d\d-\d\d|20\d{6})$/, '')
}

export function daysOf({ from, to }: Span): string[] {
  const days: string[] = []
  for (let at = Date.parse(from); at <= Date.parse(to); at += 86_400_000)
    days.push(new Date(at).toISOString().slice(0, 10))
  return days
}

export function dayAfter(day: string): string {
  return new Date(Date.parse(day) + 86_400_000).toISOString().slice(0, 10)
}
