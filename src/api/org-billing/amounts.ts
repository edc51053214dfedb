/** Credits and dollars as callers send and read them. A number and a text of digits are accepted; responses have exact digits. */
import { z } from '@hono/zod-openapi'
import { type ExactNumber, exactNumber } from '../../http/exact-number.ts'
import { parseDecimal, trimDecimal } from '../../metering/money.ts'

/** More than the ledger takes in one movement. */
const CREDITS_MAX = 10_000_000_000_000
/** The most that numeric(12,2), the books' type for dollars, can hold. */
const DOLLARS_MAX = 9_999_999_999

/** A decimal of credits, as the database writes it, as a JSON number: `5000.000000` is 5000. */
export function creditNumber(decimal: string): ExactNumber {
  return exactNumber(trimDecimal(parseDecimal(decimal, 6), 6))
}

/** A decimal of dollars as a JSON number: `50.00` is 50. */
export function dollarNumber(decimal: string): ExactNumber {
  return exactNumber(trimDecimal(parseDecimal(decimal, 2), 2))
}

/** Reads a whole number of credits into a decimal text. */
export function wholeCredits(name: string, least: 0 | 1) {
  const message = `"${name}" must be a whole number of credits, ${least} or more.`
  const fits = (value: number) => Number.isInteger(value) && value >= least && value <= CREDITS_MAX
  return z
    .union(
      [
        z.number(),
        z
          .string()
          .regex(/^\s*-?\d{1,15}\s*$/, message)
          .transform(Number),
      ],
      { error: message },
    )
    .refine(fits, message)
    .transform(String)
    .openapi({ type: 'integer', minimum: least, maximum: CREDITS_MAX })
}

/** Reads credits with up to six decimals into a decimal text. */
export function decimalCredits(name: string) {
  const message = `"${name}" must be an amount of credits, 0 or more, with at most six decimals.`
  return decimalOf(message, 6, CREDITS_MAX)
}

/** Reads dollars with up to two decimals into a decimal text. */
export function dollars(name: string) {
  const message = `"${name}" must be an amount of dollars, 0 or more, with at most two decimals.`
  return decimalOf(message, 2, DOLLARS_MAX)
}

function decimalOf(message: string, scale: number, most: number) {
  const pattern = new RegExp(`^\\d{1,14}(?:\\.\\d{1,${scale}}0*)?$`)
  return z
    .union([z.number().transform(String), z.string().trim()], { error: message })
    .refine((text) => pattern.test(text) && Number(text) <= most, message)
    .openapi({ type: 'number', minimum: 0, maximum: most })
}
