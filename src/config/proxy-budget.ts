/** Budgets in dollars, as LiteLLM's `litellm_settings` state them: of the whole proxy (`max_budget`, `budget_duration`), and of end users. */
import type { ProxyBudget } from './config.ts'
import { readDuration, windowOf } from './duration.ts'
import type { Field, Section } from './field.ts'

const MICROCREDITS_PER_DOLLAR_SCALE = 9
const MOST = 1_000_000_000n * 10n ** 9n

/** Null where there is none; 0 is none, as in LiteLLM. */
export function readProxyBudget(litellm: Section): ProxyBudget | null {
  const most = litellm.take('max_budget')
  const duration = litellm.take('budget_duration')
  const written = duration.text('a duration', true)
  if (written !== null && readDuration(written) === null)
    duration.mismatch('a duration of at most ten years', `write ${duration.name}: 30d`)
  const amount = readAmount(most)
  return amount === null ? null : { amount, window: written === null ? null : windowOf(written) }
}

/** What each end user may spend in all who has no budget of their own, microcredits: `max_end_user_budget`. Null where nothing bounds them. */
export function readEndUserBudget(litellm: Section): bigint | null {
  return readAmount(litellm.take('max_end_user_budget'))
}

function readAmount(most: Field): bigint | null {
  const amount = most.empty ? null : most.decimal(MICROCREDITS_PER_DOLLAR_SCALE, 'dollars, 0 or more', '100')
  if (amount === null || amount === 0n) return null
  return amount > MOST ? most.mismatch('dollars, at most 1000000000', `write ${most.name}: 100`) : amount
}
