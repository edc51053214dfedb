/** The provider keys that callers bring. */
import type { Surface } from '../surface.ts'
import { type ByokDependencies, byokKeyRoutes } from './byok-keys.ts'
import { byokUsageRoute } from './byok-usage.ts'
import { shortByokRoutes } from './short-names.ts'

export function createByokSurface(deps: ByokDependencies): Surface {
  return {
    name: 'Own provider keys',
    description: "Keys of providers that callers bring (BYOK): a user's own, or an organization's.",
    invalidStatus: 422,
    routes: [...byokKeyRoutes(deps), byokUsageRoute(deps.reports), ...shortByokRoutes(deps)],
  }
}
