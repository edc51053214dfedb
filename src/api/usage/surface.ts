/** What was used, and what it cost. */
import type { Database } from '../../db/connect.ts'
import type { Surface } from '../surface.ts'
import { findCallRoute } from './find-call.ts'

export function createUsageSurface({ reports }: { reports: Database }): Surface {
  return {
    name: 'Usage',
    description: 'What was used, and what it cost.',
    invalidStatus: 400,
    routes: [findCallRoute(reports)],
  }
}
