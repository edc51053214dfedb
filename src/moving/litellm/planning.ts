/** What the plans of all kinds of rows share. */
import type { Notes } from './notes.ts'
import type { Places } from './places.ts'
import type { SourceRow } from './source.ts'
import { textIn } from './values.ts'

export interface Planning {
  rows: Readonly<
    Record<
      | 'budgets'
      | 'organizations'
      | 'memberships'
      | 'teams'
      | 'teamMemberships'
      | 'modelAliases'
      | 'users'
      | 'customers'
      | 'keys',
      readonly SourceRow[]
    >
  >
  places: Places
  notes: Notes
  accepted: ReadonlySet<string>
  now: Date
  /** The budget that a row names; null where it names none, or one that is not there. */
  budgetOf(row: SourceRow): SourceRow | null
  /** Users and teams that are there and are not carried: who belongs to them is not carried either. */
  leftUsers: Set<string>
  leftTeams: Set<string>
}

export function createPlanning(given: Omit<Planning, 'budgetOf' | 'leftUsers' | 'leftTeams'>): Planning {
  const budgets = new Map(given.rows.budgets.map((row) => [textIn(row, 'budget_id'), row]))
  return {
    ...given,
    budgetOf(row) {
      const id = textIn(row, 'budget_id')
      return id === null ? null : (budgets.get(id) ?? null)
    },
    leftUsers: new Set(),
    leftTeams: new Set(),
  }
}
