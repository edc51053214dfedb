/** Customers: for whom calls are made, named in `user` or a header of the call. Their budgets bind whoever calls, the master key too. */
import { z } from '@hono/zod-openapi'
import {
  changeNamed,
  deleteNamed,
  findAllNamed,
  findNamed,
  listNamed,
  makeNamed,
} from '../../billing/spenders/named-rows.ts'
import { placeOf } from '../../billing/spenders/place.ts'
import type { SpenderRow } from '../../billing/spenders/rows.ts'
import type { Database } from '../../db/connect.ts'
import { type Route, route } from '../route.ts'
import { named } from './key-schemas.ts'
import { textIn } from './lists.ts'
import { LISTS, newSettings, REFUSED, refuseUnenforced, settingsIn, shownTerms, TERMS, termsView } from './terms.ts'

/** Who a call is for is known when it is read, and counts at once are taken before. */
const { max_parallel_requests: _, ...terms } = TERMS
const BODY = {
  ...terms,
  models: LISTS.models,
  metadata: LISTS.metadata,
  ...REFUSED,
  alias: z.string().max(255).nullish(),
  budget_id: named.nullish(),
  blocked: z.boolean().nullish(),
  max_parallel_requests: z.null().optional().openapi({ description: 'Not enforced for customers.' }),
  default_model: z.null().optional().openapi({ description: 'Not enforced for customers.' }),
}
const view = shownTerms
  .extend({ user_id: z.string(), alias: z.string().nullable(), organization_id: z.string() })
  .openapi('Customer')
const UNKNOWN = { 404: 'There is no such customer or budget among those you may see.' }
type Prefix = '/customer' | '/end_user'

export function customerRoutes(reports: Database): Route[] {
  return (['/customer', '/end_user'] as const).flatMap((prefix) => [
    newRoute(reports, prefix),
    updateRoute(reports, prefix),
    deleteRoute(reports, prefix),
    infoRoute(reports, prefix),
    listRoute(reports, prefix),
    blockRoute(reports, prefix, 'block'),
    blockRoute(reports, prefix, 'unblock'),
  ])
}

function viewOf(row: SpenderRow): z.output<typeof view> {
  return { ...termsView(row), user_id: row.name, alias: textIn(row, 'alias'), organization_id: row.org_id }
}

function moreIn({ alias }: { alias?: string | null | undefined }) {
  return alias === undefined ? undefined : { alias }
}

function newRoute(reports: Database, prefix: Prefix): Route {
  return route({
    method: 'post',
    path: `${prefix}/new`,
    may: 'budgets:manage',
    summary: 'Make a customer',
    body: z.object({ ...BODY, user_id: named, organization_id: named.nullish() }),
    returns: view,
    errors: { ...UNKNOWN, 409: 'There is a customer of this id.' },
    async handle({ caller, body, change }) {
      refuseUnenforced(body)
      const { id } = await placeOf(reports, caller, body.organization_id ?? null)
      const row = await makeNamed(reports, {
        ...{ organizationId: id, kind: 'customer', name: body.user_id, by: change.actor },
        settings: newSettings({ ...body, more: moreIn(body) }),
        budget: body.budget_id ?? null,
        isBlocked: body.blocked ?? false,
      })
      return viewOf(row)
    },
  })
}

function updateRoute(reports: Database, prefix: Prefix): Route {
  return route({
    method: 'post',
    path: `${prefix}/update`,
    may: 'budgets:manage',
    summary: 'Change a customer',
    description: 'Only what is named changes; null removes it.',
    body: z.object({ ...BODY, user_id: named }),
    returns: view,
    errors: UNKNOWN,
    async handle({ caller, body }) {
      refuseUnenforced(body)
      const row = await findNamed(reports, caller, 'customer', body.user_id)
      const settings = settingsIn({ ...body, more: moreIn(body) })
      const change = { settings, budget: body.budget_id, isBlocked: body.blocked ?? undefined }
      return viewOf(await changeNamed(reports, row, change))
    },
  })
}

const several = z.object({ user_ids: z.array(named).min(1).max(1_000) })

function deleteRoute(reports: Database, prefix: Prefix): Route {
  return route({
    method: 'post',
    path: `${prefix}/delete`,
    may: 'budgets:manage',
    summary: 'Delete customers',
    description: 'All of them or none. What was spent stays in the books.',
    body: several,
    returns: z.object({ deleted_customers: z.int(), message: z.string() }),
    errors: UNKNOWN,
    async handle({ caller, body: { user_ids: ids } }) {
      const rows = await findAllNamed(reports, caller, 'customer', ids)
      await deleteNamed(reports, rows)
      return { deleted_customers: rows.length, message: `Deleted ${rows.length} customers.` }
    },
  })
}

function infoRoute(reports: Database, prefix: Prefix): Route {
  return route({
    method: 'get',
    path: `${prefix}/info`,
    may: 'budgets:manage',
    summary: 'A customer, with what was spent for them',
    query: z.object({ end_user_id: named }),
    returns: view,
    errors: UNKNOWN,
    handle: async ({ caller, query }) => viewOf(await findNamed(reports, caller, 'customer', query.end_user_id)),
  })
}

function listRoute(reports: Database, prefix: Prefix): Route {
  return route({
    method: 'get',
    path: `${prefix}/list`,
    may: 'budgets:manage',
    summary: 'Customers, the newest first',
    returns: z.array(view),
    handle: async ({ caller }) => (await listNamed(reports, caller, 'customer')).map(viewOf),
  })
}

function blockRoute(reports: Database, prefix: Prefix, what: 'block' | 'unblock'): Route {
  return route({
    method: 'post',
    path: `${prefix}/${what}`,
    may: 'budgets:manage',
    summary: what === 'block' ? 'Refuse calls for customers for now' : 'Take calls for blocked customers again',
    body: several,
    returns: z.object({ [`${what}ed_users`]: z.array(view) }),
    errors: UNKNOWN,
    async handle({ caller, body: { user_ids: ids } }) {
      const rows = await findAllNamed(reports, caller, 'customer', ids)
      const changed = []
      for (const row of rows)
        changed.push(await changeNamed(reports, row, { settings: {}, isBlocked: what === 'block' }))
      return { [`${what}ed_users`]: changed.map(viewOf) }
    },
  })
}
