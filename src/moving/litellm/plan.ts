/** What is to stand here, before it is known what of it stands here already. */
import type { RowKind } from '../../billing/spenders/rows.ts'
import type { Settings } from '../../billing/spenders/settings.ts'
import type { What } from './notes.ts'

export interface PlannedOrganization {
  id: string
  /** Its id there. */
  theirs: string
  name: string
}

export interface PlannedRow {
  what: What
  /** Its id there. */
  theirs: string
  /** The same in every run. */
  id: string
  organizationId: string
  kind: RowKind
  name: string
  userId: string | null
  team: string | null
  budget: string | null
  isBlocked: boolean
  settings: Settings
  /** Who needs an allocation to pay from. */
  payer: string | null
  key: PlannedKey | null
  spent: Spent
}

export interface PlannedKey {
  hash: Buffer
  preview: string
  alias: string | null
  /** ISO 8601. */
  expiresAt: string | null
  routes: readonly string[] | null
}

/** What LiteLLM booked for it. Microcredits. */
export interface Spent {
  ever: bigint
  /** In the running window of the budget. */
  inWindow: bigint
  /** As ledger_window_start reads it; null: the budget has none. */
  window: string | null
  /** Columns of its SpendLogs, for budgets whose spending is written nowhere else. Empty: there are none. */
  by: Readonly<Record<string, string>>
  /** Budgets that need the logs. */
  fromLogs: readonly { window: string | null; model: string | null }[]
}

export const NOTHING_SPENT: Spent = { ever: 0n, inWindow: 0n, window: null, by: {}, fromLogs: [] }

export interface Plan {
  organizations: PlannedOrganization[]
  /** In the order in which they are written: nobody's bounds come after their keys. */
  rows: PlannedRow[]
  /** Of members with roles, by organization. */
  members: { organizationId: string; userId: string; role: 'admin' | 'member' }[]
  /** Rows there, by kind. */
  there: Map<What, number>
}
