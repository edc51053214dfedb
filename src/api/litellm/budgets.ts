/** Budgets that keys, users, teams and customers name as theirs: one change counts for all of them. */
import { randomUUID } from 'node:crypto'
import { z } from '@hono/zod-openapi'
import { changeNamed, deleteNamed, findNamed, listNamed, makeNamed } from '../../billing/spenders/named-rows.ts'
import { placeOf } from '../../billing/spenders/place.ts'
import type { SpenderRow } from '../../billing/spenders/rows.ts'
import type { Database } from '../../db/connect.ts'
import { type Route, route } from '../route.ts'
import { named } from './key-schemas.ts'
import { newSettings, REFUSED, refuseUnenforced, settingsIn, shownTerms, TERMS, termsView } from './terms.ts'

const body = z.object({ ...TERMS, ...REFUSED, budget_id: named.nullish(), organization_id: named.nullish() })
const view = shownTerms.omit({ spend: true, budget_id: true }).extend({ budget_id: z.string() }).openapi('Budget')
const UNKNOWN = { 404: 'There is no such budget among those you may see.' }

export function budgetRoutes(reports: Database): Route[] {
  return [newRoute(reports), updateRoute(reports), infoRoute(reports), listRoute(reports), deleteRoute(reports)]
}

function viewOf(row: SpenderRow): z.output<typeof view> {
  const { spend: _, ...terms } = termsView(row)
  return { ...terms, budget_id: row.name }
}

function newRoute(reports: Database): Route {
  return route({
    method: 'post',
    path: '/budget/new',
    may: 'budgets:manage',
    summary: 'Make a budget that others can name',
    body,
    returns: view,
    errors: { 404: 'There is no such organization.', 409: 'There is a budget of this id.' },
    async handle({ caller, body: asked, change }) {
      refuseUnenforced(asked)
      const { id } = await placeOf(reports, caller, asked.organization_id ?? null)
      const name = asked.budget_id ?? randomUUID()
      const row = { organizationId: id, kind: 'budget', name, settings: newSettings(asked), by: change.actor } as const
      return viewOf(await makeNamed(reports, row))
    },
  })
}

function updateRoute(reports: Database): Route {
  return route({
    method: 'post',
    path: '/budget/update',
    may: 'budgets:manage',
    summary: 'Change a budget',
    description: 'For everybody who names it, within a second. Only what is named changes; null removes it.',
    body: body.extend({ budget_id: named }),
    returns: view,
    errors: UNKNOWN,
    async handle({ caller, body: asked }) {
      refuseUnenforced(asked)
      const row = await findNamed(reports, caller, 'budget', asked.budget_id)
      return viewOf(await changeNamed(reports, row, { settings: settingsIn(asked) }))
    },
  })
}

function infoRoute(reports: Database): Route {
  return route({
    method: 'post',
    path: '/budget/info',
    may: 'budgets:manage',
    summary: 'Budgets by their ids',
    body: z.object({ budgets: z.array(named).max(1_000) }),
    returns: z.array(view),
    async handle({ caller, body: { budgets } }) {
      const asked = new Set(budgets)
      return (await listNamed(reports, caller, 'budget')).filter(({ name }) => asked.has(name)).map(viewOf)
    },
  })
}

function listRoute(reports: Database): Route {
  return route({
    method: 'get',
    path: '/budget/list',
    may: 'budgets:manage',
    summary: 'All budgets',
    returns: z.array(view),
    handle: async ({ caller }) => (await listNamed(reports, caller, 'budget')).map(viewOf),
  })
}

function deleteRoute(reports: Database): Route {
  return route({
    method: 'post',
    path: '/budget/delete',
    may: 'budgets:manage',
    summary: 'Delete a budget',
    body: z.object({ id: named }),
    returns: view,
    errors: { ...UNKNOWN, 409: 'Somebody names it.' },
    async handle({ caller, body: { id } }) {
      const row = await findNamed(reports, caller, 'budget', id)
      await deleteNamed(reports, [row])
      return viewOf(row)
    },
  })
}
