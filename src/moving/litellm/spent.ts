/** What was spent of the budgets of a row, so that they go on where they were. */
import { type Settings, termsOf } from '../../billing/spenders/settings.ts'
import { windowOf } from '../../config/duration.ts'
import type { Spent } from './plan.ts'
import type { SourceRow } from './source.ts'
import { numberIn, spentOf, timeIn } from './values.ts'

interface SpentOptions {
  /** Its own settings, and those of the budget it names. */
  settings: Settings
  named: Settings | null
  /** The row whose window counts: its own, or the budget's. */
  budget: SourceRow
  by: Spent['by']
  now: Date
}

/**
 * `spend` is what was spent in the running window where there is one: LiteLLM sets it to 0 when a window ends, a few minutes late.
 * `total_spend`, where a version has it, is what was spent ever.
 */
export function readSpent(row: SourceRow, { settings, named, budget, by, now }: SpentOptions): Spent {
  const counting = termsOf(settings).budgets.length > 0 || named === null ? settings : named
  const spend = spentOf(numberIn(row, 'spend'))
  const total = spentOf(numberIn(row, 'total_spend'))
  const isWindowed = counting.max_budget !== undefined && counting.budget_duration !== undefined
  const window = isWindowed ? windowOf(counting.budget_duration ?? '') : null
  const end = timeIn(budget, 'budget_reset_at')
  const isOver = end !== null && end <= now
  const main = { window, model: null }
  const fromLogs = termsOf(counting)
    .budgets.map(({ window, model }) => ({ window, model }))
    .filter((one) => (one.window !== null || one.model !== null) && JSON.stringify(one) !== JSON.stringify(main))
  // Without a window the budget is compared with what was spent since somebody last set it to 0.
  const isOfAllTime = counting.max_budget !== undefined && counting.budget_duration === undefined
  return {
    ever: isOfAllTime || total < spend ? spend : total,
    inWindow: window === null || isOver ? 0n : spend,
    window,
    by,
    fromLogs,
  }
}
