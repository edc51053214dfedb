/** Users: what a user's keys spend that belong to no team is bounded by the user's budget. */
import { randomUUID } from 'node:crypto'
import { z } from '@hono/zod-openapi'
import { sql } from 'kysely'
import { changeNamed, deleteNamed, findAllNamed, findNamed, listNamed } from '../../billing/spenders/named-rows.ts'
import { placeOf, within } from '../../billing/spenders/place.ts'
import { countRows, type SpenderRow, selectRows } from '../../billing/spenders/rows.ts'
import { makeUser } from '../../billing/spenders/users.ts'
import { makeVirtualKey } from '../../billing/spenders/virtual-keys.ts'
import type { Database } from '../../db/connect.ts'
import { requirePermission } from '../../identity/permissions.ts'
import { type Route, route } from '../route.ts'
import { durationIn } from './amounts.ts'
import { named } from './key-schemas.ts'
import { keysView, PAGE, textIn, viewsOfKeys } from './lists.ts'
import { LISTS, newSettings, REFUSED, refuseUnenforced, settingsIn, shownTerms, TERMS, termsView } from './terms.ts'

/** Nobody becomes an operator by these routes: those are the master key's, and roles of identity providers. */
const ROLES = ['internal_user'] as const
const { aliases: _, ...lists } = LISTS
const BODY = {
  ...TERMS,
  ...lists,
  ...REFUSED,
  user_email: z.string().max(255).nullish(),
  user_alias: z.string().max(255).nullish(),
  user_role: z.enum(ROLES).nullish(),
  budget_id: named.nullish(),
}
export const userView = shownTerms
  .extend({
    user_id: z.string(),
    user_email: z.string().nullable(),
    user_alias: z.string().nullable(),
    user_role: z.string(),
    organization_id: z.string(),
  })
  .openapi('LitellmUser')
const UNKNOWN = { 404: 'There is no such user or budget among those you may see.' }

export function userRoutes(reports: Database): Route[] {
  return [newRoute(reports), updateRoute(reports), deleteRoute(reports), infoRoute(reports), listRoute(reports)]
}

export function viewOfUser(row: SpenderRow): z.output<typeof userView> {
  return {
    ...termsView(row),
    user_id: row.name,
    user_email: textIn(row, 'user_email'),
    user_alias: textIn(row, 'user_alias'),
    user_role: textIn(row, 'user_role') ?? ROLES[0],
    organization_id: row.org_id,
  }
}

function moreIn(body: { [Name in 'user_email' | 'user_alias' | 'user_role']?: string | null | undefined }) {
  const stated = ['user_email', 'user_alias', 'user_role'] as const
  const entries = stated.flatMap((name) => (body[name] === undefined ? [] : [[name, body[name]] as const]))
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}

function newRoute(reports: Database): Route {
  return route({
    method: 'post',
    path: '/user/new',
    may: 'budgets:manage',
    summary: 'Make a user, and a key unless `auto_create_key` is false',
    description:
      'In an organization that buys its credits the user becomes a member, to whom credits are to be allocated.',
    body: z.object({
      ...BODY,
      user_id: named.nullish(),
      organization_id: named.nullish(),
      auto_create_key: z.boolean().nullish(),
      key_alias: z.string().min(1).max(200).nullish(),
      duration: durationIn('duration').nullish(),
    }),
    returns: userView.extend({
      key: z.string().nullable(),
      token: z.string().nullable(),
      expires: z.iso.datetime().nullable(),
    }),
    errors: { ...UNKNOWN, 409: 'There is a user of this id.' },
    async handle({ caller, body, change }) {
      refuseUnenforced(body)
      const place = await placeOf(reports, caller, body.organization_id ?? null)
      const row = await makeUser(reports, caller, place, {
        ...{ organizationId: place.id, kind: 'user', name: body.user_id ?? randomUUID(), by: change.actor },
        settings: newSettings({ ...body, more: moreIn(body) }),
        budget: body.budget_id ?? null,
      })
      if (body.auto_create_key === false) return { ...viewOfUser(row), key: null, token: null, expires: null }
      const asked = { userId: row.name, alias: body.key_alias ?? null, duration: body.duration ?? null, ...PLAIN_KEY }
      const made = await makeVirtualKey(reports, caller, place, asked, change)
      const expires = made.row.key?.expires_at ?? null
      return {
        ...viewOfUser(row),
        key: made.key,
        token: made.row.key?.hash ?? null,
        expires: expires === null ? null : new Date(expires).toISOString(),
      }
    },
  })
}

/** Bounded by its user alone. */
const PLAIN_KEY = { key: null, team: null, budget: null, routes: null, isBlocked: false, settings: {} }

function updateRoute(reports: Database): Route {
  return route({
    method: 'post',
    path: '/user/update',
    may: 'budgets:manage',
    summary: 'Change a user',
    description: 'Only what is named changes; null removes it.',
    body: z.object({ ...BODY, user_id: named }),
    returns: userView,
    errors: UNKNOWN,
    async handle({ caller, body }) {
      refuseUnenforced(body)
      const row = await findNamed(reports, caller, 'user', body.user_id)
      const settings = settingsIn({ ...body, more: moreIn(body) })
      return viewOfUser(await changeNamed(reports, row, { settings, budget: body.budget_id }))
    },
  })
}

function deleteRoute(reports: Database): Route {
  return route({
    method: 'post',
    path: '/user/delete',
    may: 'budgets:manage',
    summary: 'Delete users with their virtual keys',
    description: 'All of them or none. What was spent stays in the books.',
    body: z.object({ user_ids: z.array(named).min(1).max(1_000) }),
    returns: z.object({ deleted_users: z.array(z.string()) }),
    errors: UNKNOWN,
    async handle({ caller, body: { user_ids: ids } }) {
      const rows = await findAllNamed(reports, caller, 'user', ids)
      await deleteNamed(reports, rows)
      return { deleted_users: rows.map(({ name }) => name) }
    },
  })
}

function infoRoute(reports: Database): Route {
  return route({
    method: 'get',
    path: '/user/info',
    may: 'virtual_keys:read_own',
    summary: 'A user with their keys and teams',
    description: 'Without `user_id` yourself. Somebody else is for admins of the organization.',
    query: z.object({ user_id: named.optional() }),
    returns: z.object({ user_id: z.string(), user_info: userView, keys: keysView, teams: z.array(z.string()) }),
    errors: UNKNOWN,
    async handle({ caller, query }) {
      const id = query.user_id ?? caller.userId
      if (id !== caller.userId) requirePermission(caller, 'budgets:manage')
      const row = await findNamed(reports, caller, 'user', id)
      const rows = await selectRows(
        reports,
        sql`s.org_id = ${row.org_id} and s.kind in ('key', 'team_member') and s.user_id = ${row.name}`,
      )
      return {
        user_id: row.name,
        user_info: viewOfUser(row),
        keys: viewsOfKeys(rows.filter(({ kind }) => kind === 'key')),
        teams: rows.flatMap(({ kind, team }) => (kind === 'team_member' && team !== null ? [team] : [])),
      }
    },
  })
}

function listRoute(reports: Database): Route {
  return route({
    method: 'get',
    path: '/user/list',
    may: 'budgets:manage',
    summary: 'Users, the newest first',
    query: z.object(PAGE),
    returns: z.object({
      users: z.array(userView),
      total: z.int(),
      page: z.int(),
      page_size: z.int(),
      total_pages: z.int(),
    }),
    async handle({ caller, query: { page, page_size: size } }) {
      const [rows, total] = await Promise.all([
        listNamed(reports, caller, 'user', sql`true`, { limit: size, offset: (page - 1) * size }),
        countRows(reports, sql`${within(caller)} and s.kind = 'user'`),
      ])
      return { users: rows.map(viewOfUser), total, page, page_size: size, total_pages: Math.ceil(total / size) }
    },
  })
}
