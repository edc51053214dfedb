/** The organization in which a user with several acts and pays, unless a request names another. */
import { z } from '@hono/zod-openapi'
import { setDefaultOrganization } from '../../billing/default-organization.ts'
import type { Database } from '../../db/connect.ts'
import { TollgateError } from '../../http/errors.ts'
import { changeRoute } from '../change-route.ts'
import { requireProvenUser } from '../require-proven-user.ts'
import type { Route } from '../route.ts'

const organization = z.object({ organization_id: z.uuid() })

export function defaultOrganizationRoute(database: Database): Route {
  return changeRoute(database, {
    method: 'put',
    path: '/api/v1/account/default-organization',
    may: 'organizations:read_own',
    summary: 'Choose the organization you act in when a request names none',
    description: 'For people who are signed in. `X-Org-ID` still names another one for a single request.',
    body: organization,
    returns: organization,
    prepare({ caller, body: { organization_id: id } }) {
      requireProvenUser(caller, 'choose your default organization')
      if (caller.memberships.has(id.toLowerCase())) return id.toLowerCase()
      throw new TollgateError(403, 'not_a_member', 'Not a member of this organization')
    },
    async make(transaction, id, { caller }) {
      await setDefaultOrganization(transaction, id, caller.userId)
      return { organization_id: id }
    },
  })
}
