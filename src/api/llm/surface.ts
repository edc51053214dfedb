/** The internal LLM API beside its calls: credits, usage, models and health, as callers of Ops-Center know them. */
import type { Surface } from '../surface.ts'
import { creditBalanceRoutes } from './credit-balance.ts'
import { creditRoutes } from './credits.ts'
import type { LlmDependencies } from './dependencies.ts'
import { healthRoutes } from './health.ts'
import { modelRoutes } from './models.ts'
import { purchaseRoute } from './purchase.ts'
import { usageRoute } from './usage.ts'

export function createLlmSurface(deps: LlmDependencies): Surface {
  return {
    name: 'Internal LLM API',
    description: "A caller's credits, usage and models.",
    invalidStatus: 422,
    routes: [
      ...creditRoutes(deps.reports, '/api/v1/llm/credits'),
      purchaseRoute(deps),
      usageRoute(deps),
      ...modelRoutes(deps),
      ...creditRoutes(deps.reports, '/api/v1/credits'),
      ...creditBalanceRoutes(deps),
      ...healthRoutes(deps),
    ],
  }
}
