/** Virtual keys, looked at. */
import { z } from '@hono/zod-openapi'
import { listVirtualKeys } from '../../billing/spenders/list-keys.ts'
import type { SpenderRow } from '../../billing/spenders/rows.ts'
import { findVirtualKey, hashOf, ownVirtualKey } from '../../billing/spenders/virtual-keys.ts'
import type { Database } from '../../db/connect.ts'
import type { Caller } from '../../identity/caller.ts'
import { requirePermission } from '../../identity/permissions.ts'
import { numberInQuery } from '../number-in-query.ts'
import { type Route, route } from '../route.ts'
import { keyView, named, viewOfKey } from './key-schemas.ts'

export function keyReadRoutes({ reports }: { reports: Database }): Route[] {
  return [infoRoute(reports), listRoute(reports)]
}

function infoRoute(reports: Database): Route {
  return route({
    method: 'get',
    path: '/key/info',
    may: 'virtual_keys:read_own',
    summary: 'A virtual key, with what it spent',
    description: 'Without `key` your own. Somebody else’s is for admins of the organization.',
    query: z.object({ key: z.string().min(1).optional().openapi({ description: 'The key, or its hash.' }) }),
    returns: z.object({ key: z.string(), info: keyView }),
    errors: { 404: 'There is no such virtual key among those you may see.' },
    async handle({ caller, query: { key } }) {
      const info = viewOfKey(await keyFor(reports, caller, key ?? null))
      return { key: info.token, info }
    },
  })
}

async function keyFor(reports: Database, caller: Caller, key: string | null): Promise<SpenderRow> {
  if (key === null) return ownVirtualKey(reports, caller)
  if (caller.credential.kind === 'virtual_key') {
    const own = await ownVirtualKey(reports, caller)
    if (own.key?.hash === hashOf(key).toString('hex')) return own
  }
  requirePermission(caller, 'budgets:manage')
  return findVirtualKey(reports, caller, key)
}

function listRoute(reports: Database): Route {
  return route({
    method: 'get',
    path: '/key/list',
    may: 'budgets:manage',
    summary: 'Virtual keys, the newest first',
    query: z.object({
      page: numberInQuery('page', { min: 1, max: 1_000_000, default: 1 }),
      size: numberInQuery('size', { min: 1, max: 100, default: 10 }),
      user_id: named.optional(),
      team_id: named.optional(),
      organization_id: named.optional(),
      key_alias: named.optional(),
      key_hash: z.string().optional(),
      return_full_object: z.enum(['true', 'false', 'True', 'False']).optional(),
    }),
    returns: z.object({
      keys: z.array(z.union([z.string(), keyView])),
      total_count: z.int(),
      current_page: z.int(),
      total_pages: z.int(),
    }),
    async handle({ caller, query }) {
      const { page, size, return_full_object: whole = 'false' } = query
      const filter = {
        userId: query.user_id ?? null,
        team: query.team_id ?? null,
        organizationId: query.organization_id ?? null,
        alias: query.key_alias ?? null,
        hash: query.key_hash ?? null,
      }
      const found = await listVirtualKeys(reports, caller, filter, { limit: size, offset: (page - 1) * size })
      const isWhole = whole.toLowerCase() === 'true'
      return {
        keys: found.rows.map((row) => (isWhole ? viewOfKey(row) : (row.key?.hash ?? ''))),
        total_count: found.total,
        current_page: page,
        total_pages: Math.ceil(found.total / size),
      }
    },
  })
}
