/** What whoever makes a virtual key, a user, a team, a customer or a budget asks for, and what of it bounds calls. */

import { windowOf } from '../../config/duration.ts'
import { creditsToMicro, parseDecimal, trimDecimal } from '../../metering/money.ts'

/** As it was asked for and as it is shown; amounts are decimal dollars. What is left out was not asked for. */
export interface Settings {
  max_budget?: string
  /** A duration. */
  budget_duration?: string
  /** Further windows. */
  budget_limits?: { max_budget: string; budget_duration: string }[]
  /** By model or pattern. */
  model_max_budget?: Record<string, { budget_limit: string; time_period: string | null }>
  soft_budget?: string
  rpm_limit?: number
  tpm_limit?: number
  max_parallel_requests?: number
  /** By model or pattern, in a minute. */
  model_rpm_limit?: Record<string, number>
  model_tpm_limit?: Record<string, number>
  models?: string[]
  aliases?: Record<string, string>
  tags?: string[]
  metadata?: Record<string, unknown>
  /** What a kind has besides, by name: `user_email`, `team_alias`. */
  more?: Record<string, unknown>
}

/** Each member that is named: null removes it. */
export type SettingsChange = { [Name in keyof Settings]: Settings[Name] | null | undefined }

export function changed(settings: Settings, change: SettingsChange): Settings {
  const named = Object.entries(change).filter(([, value]) => value !== undefined)
  const more = change.more === undefined || change.more === null ? settings.more : { ...settings.more, ...change.more }
  const all = { ...settings, ...Object.fromEntries(named), ...(more === undefined ? {} : { more }) }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null)) as Settings
}

/** Columns of tollgate.spenders. */
export interface Terms {
  budgets: { amount: string; window: string | null; model: string | null }[]
  requests_per_minute: number | null
  tokens_per_minute: number | null
  calls_at_once: number | null
  models: string[] | null
}

export function termsOf(settings: Settings): Terms {
  const {
    max_budget: most,
    budget_duration: duration,
    budget_limits: windows = [],
    model_max_budget: byModel = {},
  } = settings
  const budget = (dollars: string, period: string | null, model: string | null = null) => ({
    // Credits: a thousandth of a dollar each.
    amount: trimDecimal(parseDecimal(dollars, 9), 6),
    window: period === null ? null : windowOf(period),
    model,
  })
  return {
    budgets: distinct([
      ...(most === undefined ? [] : [budget(most, duration ?? null)]),
      ...windows.map((one) => budget(one.max_budget, one.budget_duration)),
      ...Object.entries(byModel).map(([model, one]) => budget(one.budget_limit, one.time_period, model)),
    ]),
    requests_per_minute: settings.rpm_limit ?? null,
    tokens_per_minute: settings.tpm_limit ?? null,
    calls_at_once: settings.max_parallel_requests ?? null,
    models: allowList(settings.models ?? []),
  }
}

/** Of two budgets of one window the smaller counts: they are one row of the gate. */
function distinct(budgets: readonly Terms['budgets'][number][]): Terms['budgets'] {
  const found = new Map<string, Terms['budgets'][number]>()
  for (const budget of budgets) {
    const name = JSON.stringify([budget.window, budget.model])
    const known = found.get(name)
    const isLess = known === undefined || creditsToMicro(budget.amount) < creditsToMicro(known.amount)
    if (isLess) found.set(name, budget)
  }
  return [...found.values()]
}

const ALL = new Set(['*', 'all-proxy-models', 'all-team-models'])

/** LiteLLM's names for lists: an empty one is everything, and `no-default-models` nothing. */
function allowList(models: readonly string[]): string[] | null {
  if (models.length === 0 || models.some((model) => ALL.has(model))) return null
  return models.filter((model) => model !== 'no-default-models')
}
