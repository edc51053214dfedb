/** LiteLLM's rows as what is to stand here. Changes nothing, there or here. */

import type { Notes, What } from './notes.ts'
import { placesOf } from './places.ts'
import type { Plan } from './plan.ts'
import { planKeys } from './plan-keys.ts'
import { planBudgets, planCustomers, planOrganizationRows, planTeamMembers, planTeams, planUsers } from './plan-rows.ts'
import { createPlanning, type Planning } from './planning.ts'
import type { Source, SourceRow } from './source.ts'
import { textIn } from './values.ts'

export interface ReadOptions {
  source: Source
  notes: Notes
  /** Restrictions that the operator does without. */
  accepted: ReadonlySet<string>
  defaultId: string
  /** Of organizations here, by name: their ids. */
  names: ReadonlyMap<string, string>
  now: Date
}

export async function readPlan({ source, notes, accepted, defaultId, names, now }: ReadOptions): Promise<Plan> {
  const rows = {
    budgets: await source.rows('BudgetTable'),
    organizations: await source.rows('OrganizationTable'),
    memberships: await source.rows('OrganizationMembership'),
    teams: await source.rows('TeamTable'),
    teamMemberships: await source.rows('TeamMembership'),
    modelAliases: await source.rows('ModelTable'),
    users: await source.rows('UserTable'),
    customers: await source.rows('EndUserTable'),
    keys: await source.rows('VerificationToken'),
  }
  const places = placesOf({ rows, defaultId, names, notes })
  const planning: Planning = createPlanning({ rows, places, notes, accepted, now })
  const bounds = [
    ...planOrganizationRows(planning),
    ...planTeams(planning),
    ...planUsers(planning),
    ...planTeamMembers(planning),
  ]
  const keys = planKeys(planning)
  const customers = planCustomers(planning, new Set([...keys, ...bounds].map(({ organizationId }) => organizationId)))
  const named = planBudgets(planning, [...keys, ...customers])
  return {
    organizations: places.organizations,
    rows: [...named, ...bounds, ...customers, ...keys],
    members: membersOf(rows.memberships, places.byId),
    there: countRows(rows),
  }
}

function membersOf(rows: readonly SourceRow[], byId: (theirs: string | null) => string | null): Plan['members'] {
  return rows.flatMap((row) => {
    const organizationId = byId(textIn(row, 'organization_id'))
    const userId = textIn(row, 'user_id')
    if (organizationId === null || userId === null || userId.length > 255) return []
    return [{ organizationId, userId, role: textIn(row, 'user_role') === 'org_admin' ? 'admin' : 'member' }]
  })
}

function countRows(rows: Planning['rows']): Map<What, number> {
  return new Map<What, number>([
    ['organizations', rows.organizations.length],
    ['budgets', rows.budgets.length],
    ['teams', rows.teams.length],
    ['users', rows.users.length],
    ['team members', rows.teamMemberships.length],
    ['customers', rows.customers.length],
    ['keys', rows.keys.length],
  ])
}
