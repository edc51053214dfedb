/**
 * Whose calls are bounded by budgets, rates and lists of models besides what bounds everybody: a virtual key, its user, team, member of
 * a team, organization, and the customer a call is made for. Rows of tollgate.spenders; nearly no caller has one.
 */
import type { KeyLimits } from '../config/config.ts'
import { creditsToMicro, parseDecimal } from '../metering/money.ts'
import { NO_LIMITS } from './no-limits.ts'

export type SpenderKind = 'key' | 'user' | 'team' | 'team_member' | 'organization' | 'customer'

export interface Budget {
  /** Microcredits. */
  amount: bigint
  /** As ledger_window_start reads it: `day`, `7200s`, `3mo`; null: of all time. */
  window: string | null
  /** Null: whatever is called. */
  model: string | null
}

/** How often, and with how many tokens, one model may be called in a minute. */
export interface ModelRate {
  /** A name or pattern. */
  model: string
  limits: KeyLimits
}

export interface Spender {
  kind: SpenderKind
  /** Of its rows in ledger_limits. */
  id: string
  /** As its maker named it. */
  name: string
  budgets: readonly Budget[]
  limits: KeyLimits
  modelRates: readonly ModelRate[]
  /** Names or patterns; null: all. */
  models: readonly string[] | null
  isBlocked: boolean
  /** What a name stands for when its key asks for it. */
  aliases: Readonly<Record<string, string>>
  tags: readonly string[]
  /** Microcredits: when more is spent, somebody is told; null: nobody. */
  softBudget: bigint | null
  /** Microcredits of all time that bind where there is no budget of its own; null: nothing does. */
  defaultBudget: bigint | null
}

/** As tollgate.spender_view makes it. */
export interface SpenderRow {
  kind: SpenderKind
  id: string
  name: string
  budgets: { amount: string; window?: string | null; model?: string | null }[]
  rpm: number | null
  tpm: number | null
  parallel: number | null
  models: string[] | null
  is_blocked: boolean
  aliases: Record<string, string> | null
  tags: string[] | null
  /** Dollars. */
  soft: string | null
  model_rpm: Record<string, number> | null
  model_tpm: Record<string, number> | null
}

export const NO_SPENDERS: readonly Spender[] = []

export function spendersOf(rows: readonly SpenderRow[] | null): readonly Spender[] {
  return rows === null ? NO_SPENDERS : rows.map(spenderOf)
}

function spenderOf(row: SpenderRow): Spender {
  const { kind, id, name, budgets, rpm, tpm, parallel, models, aliases, tags, soft } = row
  return {
    kind,
    id,
    name,
    budgets: budgets.map(({ amount, window = null, model = null }) => ({
      amount: creditsToMicro(amount),
      window,
      model,
    })),
    limits: { requestsPerMinute: rpm, tokensPerMinute: tpm, callsAtOnce: parallel },
    modelRates: modelRatesOf(row),
    models,
    isBlocked: row.is_blocked,
    aliases: aliases ?? {},
    tags: tags ?? [],
    softBudget: soft === null ? null : parseDecimal(soft, 9),
    defaultBudget: null,
  }
}

function modelRatesOf({ model_rpm: calls, model_tpm: tokens }: SpenderRow): readonly ModelRate[] {
  const byModel = (counts: Record<string, number> | null, name: 'requestsPerMinute' | 'tokensPerMinute') =>
    Object.entries(counts ?? {}).map(([model, count]) => ({ model, limits: { ...NO_LIMITS, [name]: count } }))
  return [...byModel(calls, 'requestsPerMinute'), ...byModel(tokens, 'tokensPerMinute')]
}
