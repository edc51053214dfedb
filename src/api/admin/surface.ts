/** What the operator manages. */
import type { Database } from '../../db/connect.ts'
import type { Surface } from '../surface.ts'
import { auditLogRoute } from './audit-log.ts'
import { moneyAtRiskRoute } from './money-at-risk.ts'
import { type PlatformKeyDependencies, platformKeyRoutes } from './platform-keys.ts'
import { providerKeyRoutes } from './provider-keys.ts'
import { serviceKeyRoutes } from './service-keys.ts'
import { systemKeyRoutes } from './system-keys.ts'

export interface AdminDependencies extends PlatformKeyDependencies {
  reports: Database
  now: () => Date
}

export function createAdminSurface(deps: AdminDependencies): Surface {
  return {
    name: 'Administration',
    description: 'For system administrators.',
    invalidStatus: 422,
    routes: [
      ...platformKeyRoutes(deps),
      ...providerKeyRoutes(deps),
      ...systemKeyRoutes(deps),
      auditLogRoute(deps.reports),
      moneyAtRiskRoute(deps.reports, deps.now),
      ...serviceKeyRoutes(deps.reports),
    ],
  }
}
