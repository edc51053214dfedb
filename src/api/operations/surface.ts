/** For whoever runs the server: probes and numbers. */
import type { Health } from '../../observe/health.ts'
import type { Metrics } from '../../observe/metrics.ts'
import type { MetricsAccess } from '../../observe/metrics-access.ts'
import type { Surface } from '../surface.ts'
import { livenessRoute, readinessRoute } from './health.ts'
import { metricsRoute } from './metrics.ts'

export interface OperationsDependencies {
  health: Health
  metrics: Pick<Metrics, 'print'>
  mayReadMetrics: MetricsAccess
}

export function createOperationsSurface({ health, metrics, mayReadMetrics }: OperationsDependencies): Surface {
  return {
    name: 'Operations',
    description: 'Probes and numbers for whoever runs the server.',
    invalidStatus: 400,
    routes: [
      livenessRoute('/health/liveliness'),
      livenessRoute('/health/liveness'),
      readinessRoute(health),
      metricsRoute(metrics, mayReadMetrics),
    ],
  }
}
