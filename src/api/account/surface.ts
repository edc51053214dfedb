/** What callers manage for themselves. */
import type { Database } from '../../db/connect.ts'
import type { Surface } from '../surface.ts'
import { defaultOrganizationRoute } from './default-organization.ts'
import { userKeyRoutes } from './uc-api-keys.ts'

export function createAccountSurface({ reports }: { reports: Database }): Surface {
  return {
    name: 'Account',
    description: 'API keys of your own, and the organization you act in.',
    invalidStatus: 422,
    routes: [...userKeyRoutes(reports), defaultOrganizationRoute(reports)],
  }
}
