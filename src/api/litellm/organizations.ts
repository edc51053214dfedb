/** Organizations with budgets: for operators, but an admin sees their own. */
import { z } from '@hono/zod-openapi'
import {
  changeOrganizationRow,
  deleteOrganizationRows,
  findOrganizationRow,
  listOrganizationRows,
  makeOrganization,
  type OrganizationRow,
} from '../../billing/spenders/organizations.ts'
import type { Database } from '../../db/connect.ts'
import { exactNumberOrNull } from '../exact-number-schema.ts'
import { type Route, route } from '../route.ts'
import { dollars } from './amounts.ts'
import { named } from './key-schemas.ts'
import { LISTS, newSettings, REFUSED, refuseUnenforced, settingsIn, shownTerms, TERMS, termsView } from './terms.ts'

const BODY = { ...TERMS, models: LISTS.models, metadata: LISTS.metadata, tags: LISTS.tags, ...REFUSED }
const alias = z.string().min(1).max(200)
const view = shownTerms
  .omit({ created_by: true, updated_at: true, blocked: true, tags: true })
  .extend({
    organization_id: z.string(),
    organization_alias: z.string(),
    litellm_budget_table: z.object({
      max_budget: exactNumberOrNull,
      soft_budget: exactNumberOrNull,
      budget_duration: z.string().nullable(),
      rpm_limit: z.int().nullable(),
      tpm_limit: z.int().nullable(),
      max_parallel_requests: z.int().nullable(),
    }),
  })
  .openapi('LitellmOrganization')
const UNKNOWN = { 404: 'There is no such organization among those you may see.' }

export function organizationRoutes(reports: Database): Route[] {
  return [newRoute(reports), infoRoute(reports), listRoute(reports), updateRoute(reports), deleteRoute(reports)]
}

function viewOf({ id, name, created_at, bounds }: OrganizationRow): z.output<typeof view> {
  const terms = bounds === null ? { ...NO_TERMS, created_at: created_at.toISOString() } : termsView(bounds)
  const { max_budget, soft_budget, budget_duration, rpm_limit, tpm_limit, max_parallel_requests } = terms
  return {
    ...terms,
    organization_id: id,
    organization_alias: name,
    litellm_budget_table: { max_budget, soft_budget, budget_duration, rpm_limit, tpm_limit, max_parallel_requests },
  }
}

const NO_TERMS = {
  spend: dollars('0'),
  max_budget: null,
  soft_budget: null,
  budget_duration: null,
  budget_reset_at: null,
  budget_limits: [],
  budget_id: null,
  model_max_budget: {},
  model_rpm_limit: {},
  model_tpm_limit: {},
  model_spend: {},
  rpm_limit: null,
  tpm_limit: null,
  max_parallel_requests: null,
  models: [],
  metadata: {},
}

function newRoute(reports: Database): Route {
  return route({
    method: 'post',
    path: '/organization/new',
    may: 'organizations:manage',
    summary: 'Make an organization that is bounded by budgets',
    description: 'Nothing is bought in advance there, and no markup is added.',
    body: z.object({ ...BODY, organization_alias: alias }),
    returns: view,
    errors: { 409: 'Another organization has this alias.' },
    async handle({ body, change }) {
      refuseUnenforced(body)
      return viewOf(
        await makeOrganization(reports, {
          name: body.organization_alias,
          settings: newSettings(body),
          by: change.actor,
        }),
      )
    },
  })
}

function infoRoute(reports: Database): Route {
  return route({
    method: 'get',
    path: '/organization/info',
    may: 'budgets:manage',
    summary: 'An organization, with what it spent',
    query: z.object({ organization_id: named }),
    returns: view,
    errors: UNKNOWN,
    handle: async ({ caller, query }) => viewOf(await findOrganizationRow(reports, caller, query.organization_id)),
  })
}

function listRoute(reports: Database): Route {
  return route({
    method: 'get',
    path: '/organization/list',
    may: 'budgets:manage',
    summary: 'Organizations by name',
    returns: z.array(view),
    handle: async ({ caller }) => (await listOrganizationRows(reports, caller)).map(viewOf),
  })
}

function updateRoute(reports: Database): Route {
  return route({
    method: 'patch',
    path: '/organization/update',
    may: 'organizations:manage',
    summary: 'Change an organization',
    description: 'Only what is named changes; null removes it. One that buys its credits may have a budget besides.',
    body: z.object({ ...BODY, organization_id: named, organization_alias: alias.nullish() }),
    returns: view,
    errors: { ...UNKNOWN, 409: 'Another organization has this alias.' },
    async handle({ caller, body, change }) {
      refuseUnenforced(body)
      const row = await findOrganizationRow(reports, caller, body.organization_id)
      const asked = { name: body.organization_alias ?? null, change: { settings: settingsIn(body) }, by: change.actor }
      return viewOf(await changeOrganizationRow(reports, row, asked))
    },
  })
}

function deleteRoute(reports: Database): Route {
  return route({
    method: 'delete',
    path: '/organization/delete',
    may: 'organizations:manage',
    summary: 'Delete organizations',
    description: 'All of them or none. Their keys are refused everywhere within a second; their books stay.',
    body: z.object({ organization_ids: z.array(named).min(1).max(100) }),
    returns: z.array(view),
    errors: UNKNOWN,
    async handle({ caller, body: { organization_ids: ids } }) {
      const rows = await Promise.all([...new Set(ids)].map((id) => findOrganizationRow(reports, caller, id)))
      await deleteOrganizationRows(reports, rows)
      return rows.map(viewOf)
    },
  })
}
