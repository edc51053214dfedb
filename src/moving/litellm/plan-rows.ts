/** Organizations, budgets, teams, their members, users and customers, as rows of tollgate.spenders. */
import type { RowKind } from '../../billing/spenders/rows.ts'
import type { Settings } from '../../billing/spenders/settings.ts'
import { rowId } from '../row-id.ts'
import type { What } from './notes.ts'
import { NOTHING_SPENT, type PlannedRow } from './plan.ts'
import type { Planning } from './planning.ts'
import type { SourceRow } from './source.ts'
import { readSpent } from './spent.ts'
import { settingsOf } from './terms.ts'
import { unenforcedIn } from './unenforced.ts'
import { jsonIn, type Members, membersIn, numberIn, textIn, textsIn } from './values.ts'

/** Longest names, so that a member's row can hold both. */
const NAME_MAX = 255
const TEAM_NAME_MAX = 100
/** What all calls together spent stands in the row of this user there. */
const PROXY_USER = 'litellm-proxy-budget'
const PLAIN_ROLES = new Set(['internal_user', 'internal_user_viewer', 'customer', 'team'])

type Given = Pick<PlannedRow, 'what' | 'theirs' | 'organizationId' | 'kind' | 'name' | 'settings'> & Partial<PlannedRow>

export function plannedRow(given: Given): PlannedRow {
  const id = rowId(`spender ${given.kind}`, `${given.organizationId} ${given.name}`)
  return {
    ...{ id, userId: null, team: null, budget: null, isBlocked: false, payer: null, key: null, spent: NOTHING_SPENT },
    ...given,
  }
}

export function planOrganizationRows({ rows, places, notes, budgetOf, now }: Planning): PlannedRow[] {
  return rows.organizations.flatMap((row) => {
    const theirs = textIn(row, 'organization_id')
    const id = places.byId(theirs)
    if (theirs === null || id === null) return []
    const at = { what: 'organizations' as const, row: theirs, notes }
    const budget = budgetOf(row)
    const own = settingsOf(row, at)
    const settings = budget === null ? own : { ...own, ...termsOnly(settingsOf(budget, at)) }
    const spent = readSpent(row, { settings, named: null, budget: budget ?? row, by: { organization_id: theirs }, now })
    return [plannedRow({ what: at.what, theirs, organizationId: id, kind: 'organization', name: id, settings, spent })]
  })
}

/** A budget has no models, names or texts to hand on. */
function termsOnly({ models: _, aliases: __, tags: ___, metadata: ____, ...terms }: Settings): Settings {
  return terms
}

export function planTeams(planning: Planning): PlannedRow[] {
  const { rows, places, notes, now } = planning
  const aliases = new Map(rows.modelAliases.map((row) => [numberIn(row, 'id'), row]))
  return rows.teams.flatMap((row) => {
    const theirs = textIn(row, 'team_id')
    if (theirs === null) return []
    const at = { what: 'teams' as const, row: theirs, notes }
    const left = leaves(row, planning, at, TEAM_NAME_MAX)
    if (left) planning.leftTeams.add(theirs)
    if (left) return []
    const settings: Settings = { ...settingsOf(row, at), more: { team_alias: textIn(row, 'team_alias') } }
    const named = membersIn(aliases.get(numberIn(row, 'model_id')) ?? {}, 'aliases')
    if (Object.keys(named).length > 0) settings.aliases = textsOnly(named)
    const spent = readSpent(row, { settings, named: null, budget: row, by: { team_id: theirs }, now })
    const isBlocked = row.blocked === true
    const organizationId = places.ofTeam(row)
    return [
      plannedRow({ what: at.what, theirs, organizationId, kind: 'team', name: theirs, settings, spent, isBlocked }),
    ]
  })
}

function textsOnly(members: Members): Record<string, string> {
  return Object.fromEntries(
    Object.entries(members).filter((one): one is [string, string] => typeof one[1] === 'string'),
  )
}

/** Said once: too long a name, or a restriction that nobody did without. */
export function leaves(
  row: SourceRow,
  { notes, accepted }: Planning,
  { what, row: theirs }: { what: What; row: string },
  longest: number,
): boolean {
  const unenforced = unenforcedIn(row, accepted)
  for (const name of unenforced)
    notes.left(what, theirs, `${name} is not enforced here. With --accept-unenforced ${name} it is carried without it.`)
  if (theirs.length > longest) notes.left(what, theirs, `Its id is longer than ${longest} characters.`)
  return unenforced.length > 0 || theirs.length > longest
}

/** In the user's organization, and wherever keys of theirs are that belong to no team. */
export function planUsers(planning: Planning): PlannedRow[] {
  const { rows, places, notes, now } = planning
  const elsewhere = new Map<string, Set<string>>()
  for (const key of rows.keys) {
    const user = textIn(key, 'user_id')
    if (user === null || textIn(key, 'team_id') !== null) continue
    elsewhere.set(user, (elsewhere.get(user) ?? new Set()).add(places.ofKey(key)))
  }
  return rows.users.flatMap((row) => {
    const theirs = textIn(row, 'user_id')
    if (theirs === null) return []
    const at = { what: 'users' as const, row: theirs, notes }
    if (theirs === PROXY_USER) {
      notes.left(
        at.what,
        theirs,
        'It stands for all calls together: litellm_settings.max_budget in config.yaml bounds those.',
      )
      return []
    }
    const left = leaves(row, planning, at, NAME_MAX)
    if (left) planning.leftUsers.add(theirs)
    if (left) return []
    const role = textIn(row, 'user_role')
    if (role !== null && !PLAIN_ROLES.has(role))
      notes.changed(at.what, theirs, `The role ${role} is not carried: keys call models only. The master key manages.`)
    const more = { user_email: textIn(row, 'user_email'), user_alias: textIn(row, 'user_alias') }
    const settings: Settings = { ...settingsOf(row, at), more }
    const spent = readSpent(row, { settings, named: null, budget: row, by: { user: theirs }, now })
    const organizations = new Set([places.ofUser(theirs), ...(elsewhere.get(theirs) ?? [])])
    if (organizations.size > 1 && settings.max_budget !== undefined)
      notes.changed(at.what, theirs, 'Has keys in several organizations: here the budget counts in each of them.')
    return [...organizations].map((organizationId) =>
      plannedRow({ what: at.what, theirs, organizationId, kind: 'user', name: theirs, settings, spent, payer: theirs }),
    )
  })
}

export function planTeamMembers(planning: Planning): PlannedRow[] {
  const { rows, leftTeams, places } = planning
  const memberships = new Map(
    rows.teamMemberships.map((row) => [JSON.stringify([textIn(row, 'team_id'), textIn(row, 'user_id')]), row]),
  )
  return rows.teams.flatMap((team) => {
    const id = textIn(team, 'team_id')
    if (id === null || leftTeams.has(id)) return []
    const roles = rolesIn(team)
    for (const row of memberships.values()) {
      const user = textIn(row, 'user_id')
      if (user !== null && textIn(row, 'team_id') === id && !roles.has(user)) roles.set(user, 'user')
    }
    const organizationId = places.ofTeam(team)
    return [...roles].flatMap(([user, role]) =>
      planMember(planning, { team: id, user, role, organizationId }, memberships),
    )
  })
}

function rolesIn(team: SourceRow): Map<string, string> {
  const list = jsonIn(team, 'members_with_roles')
  const members = Array.isArray(list) ? (list as Members[]) : []
  const roles = members.map((one) => [textIn(one, 'user_id') ?? '', textIn(one, 'role') ?? 'user'] as const)
  const admins = textsIn(team, 'admins').map((user) => [user, 'admin'] as const)
  const others = textsIn(team, 'members').map((user) => [user, 'user'] as const)
  return new Map([...others, ...admins, ...roles].filter(([user]) => user !== ''))
}

function planMember(
  { notes, budgetOf, now }: Planning,
  { team, user, role, organizationId }: { team: string; user: string; role: string; organizationId: string },
  memberships: ReadonlyMap<string, SourceRow>,
): PlannedRow[] {
  const name = JSON.stringify([team, user])
  const at = { what: 'team members' as const, row: `${team} ${user}`, notes }
  if (name.length > NAME_MAX) {
    notes.left(at.what, at.row, 'The ids of team and user are too long together.')
    return []
  }
  const row = memberships.get(name) ?? {}
  const budget = budgetOf(row)
  const terms = budget === null ? {} : termsOnly(settingsOf(budget, at))
  const models = budget === null ? [] : textsIn(budget, 'allowed_models')
  const settings: Settings = { ...terms, ...(models.length > 0 && { models }), more: { role } }
  const by = { team_id: team, user }
  const spent = readSpent(row, { settings, named: null, budget: budget ?? {}, by, now })
  const ids = { userId: user, team }
  return [plannedRow({ ...at, theirs: at.row, organizationId, kind: 'team_member', name, settings, spent, ...ids })]
}

/** LiteLLM's are of no organization: those with bounds come to all that have keys, the others to `default`. */
export function planCustomers(planning: Planning, organizations: ReadonlySet<string>): PlannedRow[] {
  const { rows, places, notes, budgetOf, now } = planning
  return rows.customers.flatMap((row) => {
    const theirs = textIn(row, 'user_id')
    if (theirs === null) return []
    const at = { what: 'customers' as const, row: theirs, notes }
    if (leaves(row, planning, at, NAME_MAX)) return []
    if (textIn(row, 'allowed_model_region') !== null || textIn(row, 'default_model') !== null)
      notes.changed(at.what, theirs, 'allowed_model_region and default_model have no effect here.')
    const budget = budgetOf(row)
    const named = budget === null ? null : settingsOf(budget, { ...at, what: 'budgets' })
    const settings: Settings = { ...settingsOf(row, at), more: { alias: textIn(row, 'alias') } }
    const spent = readSpent(row, { settings, named, budget: budget ?? row, by: { end_user: theirs }, now })
    const isBlocked = row.blocked === true
    const isBounded = isBlocked || budget !== null || textsIn(row, 'models').length > 0
    const all = new Set([places.defaultId, ...(isBounded ? organizations : [])])
    if (all.size > 1 && named?.max_budget !== undefined)
      notes.changed(at.what, theirs, 'Here the budget counts in each organization that has keys.')
    return [...all].map((organizationId) =>
      plannedRow({
        ...{ what: at.what, theirs, organizationId, kind: 'customer', name: theirs, settings, spent, isBlocked },
        budget: budget === null ? null : textIn(budget, 'budget_id'),
      }),
    )
  })
}

/** Of keys and customers, each in the organization of who names it; one that nobody names comes to `default`. */
export function planBudgets({ rows, places, notes }: Planning, named: readonly PlannedRow[]): PlannedRow[] {
  const users = new Map<string, Set<string>>()
  for (const { budget, organizationId } of named)
    if (budget !== null) users.set(budget, (users.get(budget) ?? new Set()).add(organizationId))
  const inlined = new Set(
    [...rows.organizations, ...rows.teamMemberships].flatMap((row) => textIn(row, 'budget_id') ?? []),
  )
  return rows.budgets.flatMap((row) => {
    const theirs = textIn(row, 'budget_id')
    if (theirs === null) return []
    const organizations = users.get(theirs) ?? (inlined.has(theirs) ? [] : [places.defaultId])
    const settings = termsOnly(settingsOf(row, { what: 'budgets', row: theirs, notes }))
    return [...organizations].map((organizationId) =>
      plannedRow({ what: 'budgets', theirs, organizationId, kind: 'budget' satisfies RowKind, name: theirs, settings }),
    )
  })
}
