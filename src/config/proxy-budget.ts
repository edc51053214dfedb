/** The budget of the whole proxy, as LiteLLM's files state it: `litellm_settings.max_budget` in dollars, and `budget_duration`. */
import type { ProxyBudget } from './config.ts'
import { readDuration, windowOf } from './duration.ts'
import type { Section } from './field.ts'

const MICROCREDITS_PER_DOLLAR_SCALE = 9
const MOST = 1_000_000_000n * 10n ** 9n

/** Null where there is none; 0 is none, as in LiteLLM. */
export function readProxyBudget(litellm: Section): ProxyBudget | null {
  const most = litellm.take('max_budget')
  const duration = litellm.take('budget_duration')
  const written = duration.text('a duration', true)
  if (written !== null && readDuration(written) === null)
    duration.mismatch('a duration of at most ten years', `write ${duration.name}: 30d`)
  const amount = most.empty ? null : most.decimal(MICROCREDITS_PER_DOLLAR_SCALE, 'dollars, 0 or more', '100')
  if (amount === null || amount === 0n) return null
  if (amount > MOST) return most.mismatch('dollars, at most 1000000000', `write ${most.name}: 100`)
  return { amount, window: written === null ? null : windowOf(written) }
}
