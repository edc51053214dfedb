/** What was used, and what it cost: single calls, and reports that equal the books. */
import type { Surface } from '../surface.ts'
import { callInFullRoute } from './call-in-full.ts'
import { currentRoute } from './current.ts'
import type { UsageDependencies } from './dependencies.ts'
import { exportRoute } from './export.ts'
import { findCallRoute } from './find-call.ts'
import { historyRoute } from './history.ts'
import { homeRoute } from './home.ts'
import { featuresRoute, limitsRoute } from './limits.ts'
import { listCallsRoute } from './list-calls.ts'
import { statementRoutes } from './statement.ts'

export function createCallSurface({ reports }: Pick<UsageDependencies, 'reports'>): Surface {
  return {
    name: 'Usage',
    description: 'What was used, and what it cost.',
    invalidStatus: 400,
    routes: [findCallRoute(reports)],
  }
}

export function createUsageSurface(deps: UsageDependencies): Surface {
  return {
    name: 'Usage reports',
    description:
      'Usage in groups, limits, exports and monthly statements. Every sum equals the books to the microcredit.',
    invalidStatus: 422,
    routes: [
      homeRoute(deps),
      listCallsRoute(deps),
      callInFullRoute(deps),
      currentRoute(deps),
      historyRoute(deps),
      limitsRoute(deps),
      featuresRoute(deps),
      exportRoute(deps),
      ...statementRoutes(deps),
    ],
  }
}
