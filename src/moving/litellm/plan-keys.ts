/** Virtual keys by their hashes: clients keep the keys they have. */
import { isRouteRule } from '../../http/route-group.ts'
import { rowId } from '../row-id.ts'
import type { PlannedRow } from './plan.ts'
import { leaves, plannedRow } from './plan-rows.ts'
import type { Planning } from './planning.ts'
import type { SourceRow } from './source.ts'
import { readSpent } from './spent.ts'
import { settingsOf } from './terms.ts'
import { isNothing, jsonIn, textIn, textsIn, timeIn } from './values.ts'

const HASH = /^[0-9a-f]{64}$/
/** Sessions of people at LiteLLM's own pages. */
const DASHBOARD = 'litellm-dashboard'
const ALIAS_MAX = 200

export function planKeys(planning: Planning): PlannedRow[] {
  const teams = new Set(planning.rows.teams.map((row) => textIn(row, 'team_id')))
  return planning.rows.keys.flatMap((row) => {
    const token = textIn(row, 'token') ?? ''
    const shown = textIn(row, 'key_alias') ?? textIn(row, 'key_name') ?? token.slice(0, 12)
    const reason = reasonToLeave(row, planning)
    if (reason !== null) planning.notes.left('keys', shown, reason)
    if (reason !== null || leaves(row, planning, { what: 'keys', row: shown }, ALIAS_MAX)) return []
    return [planKey(row, { token, shown, hasTeam: teams.has(textIn(row, 'team_id')) }, planning)]
  })
}

function reasonToLeave(row: SourceRow, { leftTeams, leftUsers }: Planning): string | null {
  if (!HASH.test(textIn(row, 'token') ?? '')) return 'Its token is no SHA-256: LiteLLM does not accept it either.'
  const team = textIn(row, 'team_id')
  if (team === DASHBOARD) return "It is a session of LiteLLM's dashboard."
  if (team !== null && leftTeams.has(team)) return 'Its team is not carried.'
  const user = textIn(row, 'user_id')
  if (user !== null && leftUsers.has(user)) return 'Its user is not carried.'
  return user !== null && user.length > 255 ? 'Its user has an id of more than 255 characters.' : null
}

interface KeyAt {
  token: string
  shown: string
  hasTeam: boolean
}

function planKey(row: SourceRow, { token, shown, hasTeam }: KeyAt, planning: Planning): PlannedRow {
  const { notes, places, budgetOf, now } = planning
  const at = { what: 'keys' as const, row: shown, notes }
  sayWhatChanges(row, hasTeam, planning, shown)
  const id = rowId('LiteLLM_VerificationToken', token)
  const user = textIn(row, 'user_id')
  const team = hasTeam ? textIn(row, 'team_id') : null
  const budget = budgetOf(row)
  const settings = settingsOf(row, at)
  const named = budget === null ? null : settingsOf(budget, { ...at, what: 'budgets' })
  const usesNamed = named !== null && settings.max_budget === undefined
  const counted = usesNamed && budget !== null ? budget : row
  return plannedRow({
    ...{
      id,
      what: at.what,
      theirs: token,
      organizationId: places.ofKey(row),
      kind: 'key',
      name: id,
      userId: user,
      team,
    },
    ...{ settings, isBlocked: row.blocked === true, payer: user ?? `key/${id}` },
    budget: budget === null ? null : textIn(budget, 'budget_id'),
    spent: readSpent(row, { settings, named, budget: counted, by: { api_key: token }, now }),
    key: {
      hash: Buffer.from(token, 'hex'),
      preview: (textIn(row, 'key_name') ?? 'sk-...').slice(0, 40),
      alias: textIn(row, 'key_alias')?.slice(0, ALIAS_MAX) ?? null,
      expiresAt: timeIn(row, 'expires')?.toISOString() ?? null,
      routes: routesOf(row, planning, shown),
    },
  })
}

function sayWhatChanges(row: SourceRow, hasTeam: boolean, { notes, places }: Planning, shown: string): void {
  const say = (says: string) => notes.changed('keys', shown, says)
  if (textIn(row, 'team_id') !== null && !hasTeam) say('Its team is not there: here it belongs to none.')
  const own = places.byId(textIn(row, 'organization_id'))
  if (own !== null && own !== places.ofKey(row))
    say("Its team is of another organization than the key: here the team's counts.")
  if (row.auto_rotate === true) say('It is not replaced by itself (auto_rotate).')
  if (!isNothing(jsonIn(row, 'permissions'))) say('permissions are not carried: a key calls models only.')
  if (!isNothing(jsonIn(row, 'budget_fallbacks'))) say('budget_fallbacks are not carried: an exhausted budget refuses.')
}

function routesOf(row: SourceRow, { notes }: Planning, shown: string): string[] | null {
  const asked = textsIn(row, 'allowed_routes')
  if (asked.length === 0) return null
  const known = asked.filter(isRouteRule)
  if (known.length < asked.length)
    notes.changed('keys', shown, 'Some of its allowed_routes are not known here: it may not call those.')
  return known
}
