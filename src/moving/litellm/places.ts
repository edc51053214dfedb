/**
 * In which organization each row comes to stand. LiteLLM's organizations become ours; who has none comes to `default`, where nothing is
 * bought in advance and no markup is added. Here a key, its team and its user's budget are of one organization: a team's is its own, a
 * key's that of its team, else its own, else its user's.
 */
import { rowId } from '../row-id.ts'
import type { Notes } from './notes.ts'
import type { PlannedOrganization } from './plan.ts'
import type { SourceRow } from './source.ts'
import { textIn } from './values.ts'

export interface Places {
  organizations: PlannedOrganization[]
  defaultId: string
  /** Null where the id names none. */
  byId(theirs: string | null): string | null
  ofTeam(row: SourceRow): string
  ofUser(userId: string | null): string
  ofKey(row: SourceRow): string
}

export interface PlaceRows {
  organizations: readonly SourceRow[]
  memberships: readonly SourceRow[]
  teams: readonly SourceRow[]
  users: readonly SourceRow[]
}

interface PlaceOptions {
  rows: PlaceRows
  defaultId: string
  /** Of organizations here, by name: their ids. */
  names: ReadonlyMap<string, string>
  notes: Notes
}

export function placesOf({ rows, defaultId, names, notes }: PlaceOptions): Places {
  const organizations = planOrganizations(rows.organizations, names, notes)
  const ids = new Map(organizations.map(({ theirs, id }) => [theirs, id]))
  const byId = (theirs: string | null) => (theirs === null ? null : (ids.get(theirs) ?? null))
  const ofTeam = (row: SourceRow) => byId(textIn(row, 'organization_id')) ?? defaultId
  const teams = new Map(rows.teams.map((row) => [textIn(row, 'team_id'), ofTeam(row)]))
  const homes = new Map<string, string>()
  for (const row of [...rows.memberships, ...rows.users]) {
    const user = textIn(row, 'user_id')
    const home = byId(textIn(row, 'organization_id'))
    // What the user's own row says comes last, and wins; of several memberships the first.
    if (user !== null && home !== null && (rows.users.includes(row) || !homes.has(user))) homes.set(user, home)
  }
  const ofUser = (user: string | null) => (user === null ? undefined : homes.get(user)) ?? defaultId
  return {
    ...{ organizations, defaultId, byId, ofTeam, ofUser },
    ofKey(row) {
      const own = byId(textIn(row, 'organization_id'))
      return teams.get(textIn(row, 'team_id')) ?? own ?? ofUser(textIn(row, 'user_id'))
    },
  }
}

function planOrganizations(rows: readonly SourceRow[], names: ReadonlyMap<string, string>, notes: Notes) {
  const taken = new Map(names)
  return rows.flatMap((row): PlannedOrganization[] => {
    const theirs = textIn(row, 'organization_id')
    if (theirs === null) return []
    const id = rowId('LiteLLM_OrganizationTable', theirs)
    const alias = (textIn(row, 'organization_alias') ?? theirs).slice(0, 160)
    const isFree = (taken.get(alias) ?? id) === id
    const name = isFree ? alias : `${alias} ${id}`
    if (!isFree) notes.changed('organizations', theirs, `Its name is taken here: it is called ${JSON.stringify(name)}.`)
    taken.set(name, id)
    return [{ id, theirs, name }]
  })
}
