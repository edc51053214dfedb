/** For operators: health checks and metrics. */
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
    description: 'Health checks and metrics, for operators.',
    invalidStatus: 400,
    routes: [
      livenessRoute('/health/liveliness'),
      livenessRoute('/health/liveness'),
      readinessRoute(health),
      metricsRoute(metrics, mayReadMetrics),
    ],
  }
}
