/** LiteLLM's routes: virtual keys, and whoever else has budgets. docs/keys.md says what is the same and what is not. */
import type { Surface } from '../surface.ts'
import { budgetRoutes } from './budgets.ts'
import { customerRoutes } from './customers.ts'
import { keyReadRoutes } from './key-reads.ts'
import { type KeyDependencies, keyRoutes } from './keys.ts'
import { type ModelInfoDependencies, modelInfoRoutes } from './model-info.ts'
import { organizationRoutes } from './organizations.ts'
import { type SpendDependencies, spendRoutes } from './spend.ts'
import { spendLogRoutes } from './spend-logs.ts'
import { teamRoutes } from './teams.ts'
import { userRoutes } from './users.ts'

export function createLitellmSurface(deps: KeyDependencies & SpendDependencies & ModelInfoDependencies): Surface {
  return {
    name: 'Virtual keys',
    description:
      "Keys with budgets, rates and lists of their own, in LiteLLM's form. For the master key, and for admins of organizations.",
    invalidStatus: 400,
    routes: [
      ...keyRoutes(deps),
      ...keyReadRoutes(deps),
      ...teamRoutes(deps.reports),
      ...userRoutes(deps.reports),
      ...organizationRoutes(deps.reports),
      ...budgetRoutes(deps.reports),
      ...customerRoutes(deps.reports),
      ...modelInfoRoutes(deps),
      ...spendRoutes(deps),
      ...spendLogRoutes(deps.reports),
    ],
  }
}
