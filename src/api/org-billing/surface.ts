/** Organization billing under the paths, shapes and texts that LoopNet Leads and Center-Deep Pro know from Ops-Center. */
import type { Surface } from '../surface.ts'
import { allocationRoutes } from './allocations.ts'
import { billingRoutes, historyAlias } from './billing.ts'
import { creditRoutes } from './credits.ts'
import type { OrgBillingDependencies } from './dependencies.ts'
import { organizationRoutes } from './organizations.ts'
import { refundRoute } from './refunds.ts'
import { subscriptionRoutes } from './subscriptions.ts'
import { usageRoutes } from './usage.ts'

export function createOrgBillingSurface(deps: OrgBillingDependencies): Surface {
  return {
    name: 'Organization billing',
    description: 'Plans, credit pools, allocations, members and usage of organizations.',
    invalidStatus: 422,
    // Paths with words come before those with a parameter in the same place.
    routes: [
      ...subscriptionRoutes(deps),
      ...allocationRoutes(deps),
      ...usageRoutes(deps),
      ...creditRoutes(deps),
      ...billingRoutes(deps),
      ...organizationRoutes(deps),
      refundRoute(deps),
      historyAlias(deps),
    ],
  }
}
