/** What bounds a call besides pool and allocation: its key, and the budgets of whoever has some. Each is a row of the one gate. */
import type { Caller } from '../identity/caller.ts'
import { matchesGroup } from '../identity/restrictions.ts'
import type { Spender } from '../identity/spender.ts'
import { keyLimit } from '../ledger/key-limit.ts'
import type { Limit } from '../ledger/ledger.ts'

export function limitsOf(
  { keyId, spenders }: Pick<Caller, 'keyId' | 'spenders'>,
  modelGroup: string,
): readonly Limit[] {
  const key = keyLimit(keyId)
  if (spenders.length === 0) return key
  return [...key, ...spenders.flatMap((spender) => limitsOfSpender(spender, modelGroup))]
}

/**
 * What it spent of all time is counted in any case, and the amount of a budget of all time stands in that row. Another budget has a row
 * of its own, and its amount goes along with the call.
 */
function limitsOfSpender({ kind, id, budgets, defaultBudget }: Spender, modelGroup: string): Limit[] {
  const whole: Limit[] = kind === 'key' ? [] : [{ kind, id, window: null, unit: 'credits', amount: null }]
  if (budgets.length === 0 && defaultBudget !== null) {
    const limit = { kind: `${kind}_budget`, id: `${id}/default`, window: null, unit: 'credits' as const }
    return [...whole, { ...limit, amount: defaultBudget }]
  }
  const others = budgets
    .filter(
      ({ window, model }) => (window !== null || model !== null) && (model === null || matchesGroup(model, modelGroup)),
    )
    .map(({ window, model, amount }): Limit => {
      return { kind: `${kind}_budget`, id: budgetId(id, window, model), window, unit: 'credits', amount }
    })
  return [...whole, ...others]
}

/** As tollgate.spender_used looks for it. */
export function budgetId(id: string, window: string | null, model: string | null): string {
  return `${id}${window === null ? '' : `/${window}`}${model === null ? '' : `:${model}`}`
}
