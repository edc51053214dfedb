/** Teams: what their keys spend together is bounded by the team's budget, and each member's within it. */
import { randomUUID } from 'node:crypto'
import { z } from '@hono/zod-openapi'
import { sql } from 'kysely'
import {
  changeNamed,
  deleteNamed,
  findAllNamed,
  findNamed,
  listNamed,
  makeNamed,
} from '../../billing/spenders/named-rows.ts'
import { placeOf } from '../../billing/spenders/place.ts'
import { type SpenderRow, selectRows } from '../../billing/spenders/rows.ts'
import { addMembers, membersOf, removeMember, type TeamMember } from '../../billing/spenders/team-members.ts'
import type { Database } from '../../db/connect.ts'
import { TollgateError } from '../../http/errors.ts'
import { requirePermission } from '../../identity/permissions.ts'
import { type Route, route } from '../route.ts'
import { dollarsIn, durationIn } from './amounts.ts'
import { keysView, textIn, viewsOfKeys } from './lists.ts'
import { LISTS, newSettings, REFUSED, refuseUnenforced, settingsIn, shownTerms, TERMS, termsView } from './terms.ts'

/** A member's row has both names in its own. */
const short = z.string().min(1).max(100)
const { aliases: model_aliases, ...lists } = LISTS
const member = z.object({ user_id: short, role: z.enum(['user', 'admin']).default('user') })
const BODY = {
  ...TERMS,
  ...lists,
  ...REFUSED,
  model_aliases,
  team_alias: z.string().max(255).nullish(),
  budget_id: z.string().min(1).max(255).nullish(),
  blocked: z.boolean().nullish(),
}
const shownMember = z.object({ user_id: z.string(), role: z.string() })
const view = shownTerms
  .extend({
    team_id: z.string(),
    team_alias: z.string().nullable(),
    organization_id: z.string(),
    model_aliases: z.record(z.string(), z.string()),
    members_with_roles: z.array(shownMember),
  })
  .openapi('Team')
const membership = shownTerms
  .extend({ user_id: z.string(), team_id: z.string(), role: z.string() })
  .openapi('TeamMembership')
const UNKNOWN = { 404: 'There is no such team, member or budget among those you may see.' }

export function teamRoutes(reports: Database): Route[] {
  return [
    newRoute(reports),
    updateRoute(reports),
    deleteRoute(reports),
    infoRoute(reports),
    listRoute(reports),
    blockRoute(reports, 'block'),
    blockRoute(reports, 'unblock'),
    addMemberRoute(reports),
    deleteMemberRoute(reports),
  ]
}

async function viewOf(reports: Database, row: SpenderRow): Promise<z.output<typeof view>> {
  return viewWith(row, await membersOf(reports, row))
}

function viewWith(row: SpenderRow, members: readonly SpenderRow[]): z.output<typeof view> {
  return {
    ...termsView(row),
    team_id: row.name,
    team_alias: textIn(row, 'team_alias'),
    organization_id: row.org_id,
    model_aliases: row.settings.aliases ?? {},
    members_with_roles: members.map((one) => ({ user_id: one.user_id ?? '', role: textIn(one, 'role') ?? 'user' })),
  }
}

/** What a team has besides the terms; undefined: as it is. */
function moreIn({ team_alias }: { team_alias?: string | null | undefined }) {
  return team_alias === undefined ? undefined : { team_alias }
}

function newRoute(reports: Database): Route {
  return route({
    method: 'post',
    path: '/team/new',
    may: 'budgets:manage',
    summary: 'Make a team',
    body: z.object({
      ...BODY,
      team_id: short.nullish(),
      organization_id: z.string().nullish(),
      members_with_roles: z.array(member).max(1_000).nullish(),
    }),
    returns: view,
    errors: { ...UNKNOWN, 409: 'There is a team of this id.' },
    async handle({ caller, body, change }) {
      refuseUnenforced(body)
      const { id } = await placeOf(reports, caller, body.organization_id ?? null)
      const row = await makeNamed(reports, {
        ...{ organizationId: id, kind: 'team', name: body.team_id ?? randomUUID(), by: change.actor },
        settings: newSettings({ ...body, aliases: body.model_aliases, more: moreIn(body) }),
        budget: body.budget_id ?? null,
        isBlocked: body.blocked ?? false,
      })
      const members = (body.members_with_roles ?? []).map((one) => memberFrom(one, {}))
      await addMembers(reports, row, members, change.actor)
      return viewOf(reports, row)
    },
  })
}

function memberFrom({ user_id, role }: z.output<typeof member>, settings: TeamMember['settings']): TeamMember {
  return { userId: user_id, role, settings }
}

function updateRoute(reports: Database): Route {
  return route({
    method: 'post',
    path: '/team/update',
    may: 'budgets:manage',
    summary: 'Change a team',
    description: 'Only what is named changes; null removes it.',
    body: z.object({ ...BODY, team_id: short }),
    returns: view,
    errors: UNKNOWN,
    async handle({ caller, body }) {
      refuseUnenforced(body)
      const row = await findNamed(reports, caller, 'team', body.team_id)
      const settings = settingsIn({ ...body, aliases: body.model_aliases, more: moreIn(body) })
      const change = { settings, budget: body.budget_id, isBlocked: body.blocked ?? undefined }
      return viewOf(reports, await changeNamed(reports, row, change))
    },
  })
}

function deleteRoute(reports: Database): Route {
  return route({
    method: 'post',
    path: '/team/delete',
    may: 'budgets:manage',
    summary: 'Delete teams with their keys',
    description: 'All of them or none. What was spent stays in the books.',
    body: z.object({ team_ids: z.array(short).min(1).max(1_000) }),
    returns: z.object({ deleted_teams: z.array(z.string()) }),
    errors: UNKNOWN,
    async handle({ caller, body: { team_ids: ids } }) {
      const rows = await findAllNamed(reports, caller, 'team', ids)
      await deleteNamed(reports, rows)
      return { deleted_teams: rows.map(({ name }) => name) }
    },
  })
}

function infoRoute(reports: Database): Route {
  return route({
    method: 'get',
    path: '/team/info',
    may: 'virtual_keys:read_own',
    summary: 'A team with its keys and members',
    description: 'For admins, and for keys of the team.',
    query: z.object({ team_id: short }),
    returns: z.object({
      team_id: z.string(),
      team_info: view,
      keys: keysView,
      team_memberships: z.array(membership),
    }),
    errors: UNKNOWN,
    async handle({ caller, query: { team_id: id } }) {
      const isOwn = caller.spenders.some(({ kind, name }) => kind === 'team' && name === id)
      if (!isOwn) requirePermission(caller, 'budgets:manage')
      const row = await findNamed(reports, caller, 'team', id)
      const [members, keys] = await Promise.all([
        membersOf(reports, row),
        selectRows(reports, sql`s.org_id = ${row.org_id} and s.kind = 'key' and s.team = ${row.name}`),
      ])
      return {
        team_id: row.name,
        team_info: viewWith(row, members),
        keys: viewsOfKeys(keys),
        team_memberships: members.map((one) => membershipOf(row, one)),
      }
    },
  })
}

function membershipOf(team: SpenderRow, row: SpenderRow): z.output<typeof membership> {
  return { ...termsView(row), user_id: row.user_id ?? '', team_id: team.name, role: textIn(row, 'role') ?? 'user' }
}

function listRoute(reports: Database): Route {
  return route({
    method: 'get',
    path: '/team/list',
    may: 'budgets:manage',
    summary: 'All teams',
    query: z.object({ user_id: z.string().optional(), organization_id: z.string().optional() }),
    returns: z.array(view),
    async handle({ caller, query: { user_id: user, organization_id: organization } }) {
      const [rows, members] = await Promise.all([
        listNamed(
          reports,
          caller,
          'team',
          organization === undefined ? sql`true` : sql`s.org_id::text = ${organization}`,
        ),
        listNamed(reports, caller, 'team_member'),
      ])
      const of = (row: SpenderRow) => members.filter(({ org_id, team }) => org_id === row.org_id && team === row.name)
      return rows
        .filter((row) => user === undefined || of(row).some(({ user_id }) => user_id === user))
        .map((row) => viewWith(row, of(row)))
    },
  })
}

function blockRoute(reports: Database, what: 'block' | 'unblock'): Route {
  return route({
    method: 'post',
    path: `/team/${what}`,
    may: 'budgets:manage',
    summary: what === 'block' ? 'Refuse all keys of a team for now' : 'Take keys of a blocked team again',
    body: z.object({ team_id: short }),
    returns: view,
    errors: UNKNOWN,
    async handle({ caller, body }) {
      const row = await findNamed(reports, caller, 'team', body.team_id)
      return viewOf(reports, await changeNamed(reports, row, { settings: {} as never, isBlocked: what === 'block' }))
    },
  })
}

function addMemberRoute(reports: Database): Route {
  return route({
    method: 'post',
    path: '/team/member_add',
    may: 'budgets:manage',
    summary: 'Add members to a team, or change them',
    description: 'A budget bounds what keys of the team spend that belong to the member.',
    body: z.object({
      team_id: short,
      member: z.union([member, z.array(member).min(1).max(1_000)]),
      max_budget_in_team: dollarsIn('max_budget_in_team').nullish(),
      budget_duration: durationIn('budget_duration').nullish(),
    }),
    returns: view.extend({ updated_team_memberships: z.array(membership) }),
    errors: UNKNOWN,
    async handle({ caller, body, change }) {
      const row = await findNamed(reports, caller, 'team', body.team_id)
      const settings = newSettings({ max_budget: body.max_budget_in_team, budget_duration: body.budget_duration })
      const asked = [body.member].flat()
      await addMembers(
        reports,
        row,
        asked.map((one) => memberFrom(one, settings)),
        change.actor,
      )
      const members = await membersOf(reports, row)
      const added = members.filter(({ user_id }) => asked.some((one) => one.user_id === user_id))
      return { ...viewWith(row, members), updated_team_memberships: added.map((one) => membershipOf(row, one)) }
    },
  })
}

function deleteMemberRoute(reports: Database): Route {
  return route({
    method: 'post',
    path: '/team/member_delete',
    may: 'budgets:manage',
    summary: 'Remove a member of a team, with their keys of it',
    body: z.object({ team_id: short, user_id: short.nullish() }),
    returns: view,
    errors: UNKNOWN,
    async handle({ caller, body }) {
      if (body.user_id == null)
        throw new TollgateError(400, 'invalid_request', '"user_id" must name a member of the team.', {
          param: 'user_id',
        })
      const row = await findNamed(reports, caller, 'team', body.team_id)
      await removeMember(reports, row, body.user_id)
      return viewOf(reports, row)
    },
  })
}
