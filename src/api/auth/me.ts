/** Who asks, where, and what they may do there: what a page needs to show only what works. */
import { z } from '@hono/zod-openapi'
import { findOrganizationNames } from '../../billing/organization-names.ts'
import type { Database } from '../../db/connect.ts'
import { can, PERMISSIONS } from '../../identity/permissions.ts'
import { Reply } from '../reply.ts'
import { type Route, route } from '../route.ts'

const NAMES = Object.keys(PERMISSIONS) as (keyof typeof PERMISSIONS)[]

const named = z.object({ id: z.string(), name: z.string() })

export function meRoute(reports: Database): Route {
  return route({
    method: 'get',
    path: '/api/v1/me',
    may: 'organizations:read_own',
    summary: 'Who you are, and what you may do',
    description: 'In your own organization, or in the one that X-Org-ID names.',
    returns: z
      .object({
        user_id: z.string(),
        email: z.string().nullable(),
        role: z.string(),
        credential: z.string().openapi({ description: 'The kind of credential: session, api_key, ...' }),
        permissions: z.array(z.string()).openapi({ description: 'As docs/identity.md lists them.' }),
        organization: named.openapi({
          description: 'Where your calls are charged. The name is empty where you have none.',
        }),
        organizations: z.array(named.extend({ role: z.string() })),
      })
      .openapi('Me'),
    async handle({ caller }) {
      const { organizationId, memberships } = caller
      const names = await findOrganizationNames(reports, [organizationId, ...memberships.keys()])
      const nameOf = (id: string) => names.get(id) ?? ''
      const me = {
        user_id: caller.userId,
        email: caller.email,
        role: caller.role,
        credential: caller.credential.kind,
        permissions: NAMES.filter((name) => can(caller, name)),
        organization: { id: organizationId, name: nameOf(organizationId) },
        organizations: [...memberships].map(([id, role]) => ({ id, name: nameOf(id), role })),
      }
      return new Reply(me, { headers: { 'Cache-Control': 'no-store' } })
    },
  })
}
