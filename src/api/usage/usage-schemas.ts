/** Usage as callers read it: credits and dollars with their exact digits, counts as whole numbers. */
import { type ExactNumber, exactNumber } from '../../http/exact-number.ts'
import type { Sums } from '../../reports/usage-by.ts'
import { exactNumberSchema } from '../exact-number-schema.ts'

export const sumsFields = {
  calls: exactNumberSchema.openapi({ description: 'Calls that ended, failed ones included.' }),
  failed_calls: exactNumberSchema,
  credits: exactNumberSchema.openapi({ description: 'What was charged. Refunds are in the statement.' }),
  cost: exactNumberSchema.openapi({ description: 'The same in dollars.' }),
  provider_cost: exactNumberSchema.openapi({ description: 'What providers charge, in dollars.' }),
  input_tokens: exactNumberSchema,
  cached_tokens: exactNumberSchema.openapi({ description: 'Part of input_tokens.' }),
  output_tokens: exactNumberSchema,
}

export function shownSums(sums: Sums): Record<keyof Sums, ExactNumber> {
  const { calls, failed_calls, credits, cost, provider_cost, input_tokens, cached_tokens, output_tokens } = sums
  return {
    calls: exactNumber(calls),
    failed_calls: exactNumber(failed_calls),
    credits: exactNumber(credits),
    cost: exactNumber(cost),
    provider_cost: exactNumber(provider_cost),
    input_tokens: exactNumber(input_tokens),
    cached_tokens: exactNumber(cached_tokens),
    output_tokens: exactNumber(output_tokens),
  }
}
