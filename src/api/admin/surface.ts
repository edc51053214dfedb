/** What the operator manages. */
import type { Database } from '../../db/connect.ts'
import type { Surface } from '../surface.ts'
import { auditLogRoute } from './audit-log.ts'

export interface AdminDependencies {
  reports: Database
}

export function createAdminSurface({ reports }: AdminDependencies): Surface {
  return {
    name: 'Administration',
    description: 'For system administrators.',
    invalidStatus: 422,
    routes: [auditLogRoute(reports)],
  }
}
