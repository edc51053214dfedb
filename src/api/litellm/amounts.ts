/** Amounts of LiteLLM's routes: dollars, in requests as numbers or texts, in responses as numbers with all their digits. */
import { z } from '@hono/zod-openapi'
import { readDollars } from '../../billing/spenders/dollars.ts'
import type { Used } from '../../billing/spenders/rows.ts'
import { readDuration } from '../../config/duration.ts'
import { type ExactNumber, exactNumber } from '../../http/exact-number.ts'
import { creditsToMicro, trimDecimal } from '../../metering/money.ts'

/** @param name of the member, for the message. */
export function dollarsIn(name: string) {
  return z
    .union([z.number(), z.string()])
    .refine(
      (value) => readDollars(value) !== null,
      `"${name}" must be dollars from 0 to 10000000000, such as 0.25, or null.`,
    )
    .transform((value) => readDollars(value) ?? '0')
    .openapi({ type: 'number', minimum: 0, description: 'Dollars.' })
}

export function durationIn(name: string) {
  return z
    .string()
    .refine(
      (text) => readDuration(text) !== null,
      `"${name}" must be a duration such as 30s, 30m, 12h, 30d or 1mo, ten years at most.`,
    )
    .openapi({ example: '30d' })
}

export function dollars(decimal: string): ExactNumber {
  return exactNumber(decimal)
}

/** Decimal credits as dollars. */
export function creditsAsDollars(credits: string): ExactNumber {
  return exactNumber(trimDecimal(creditsToMicro(credits), 9))
}

/** What counts as spent: in the window of the main budget where it has one, else ever. */
export function mainOf(used: readonly Used[]): Used {
  const [whole, main] = used
  return main !== undefined && main.model === null && main.window !== null ? main : whole!
}
