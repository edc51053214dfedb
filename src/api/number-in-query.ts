/** A whole number in a query, where it is a text. `z.coerce.number()` would read an empty text as 0. */
import { z } from '@hono/zod-openapi'

export interface NumberBounds {
  min: number
  max: number
  /** The value where it is left out. */
  default: number
}

/** @param name the parameter's name, for the message. */
export function numberInQuery(name: string, bounds: NumberBounds) {
  const { min, max } = bounds
  const fits = (text: string) => /^\d{1,15}$/.test(text) && Number(text) >= min && Number(text) <= max
  return z
    .string()
    .refine(fits, `"${name}" must be a whole number from ${min} to ${max}.`)
    .default(String(bounds.default))
    .transform(Number)
    .openapi({ type: 'integer', minimum: min, maximum: max, default: bounds.default })
}
