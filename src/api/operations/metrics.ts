/** The metrics of this process, or of all workers of its port, for Prometheus. */
import { z } from '@hono/zod-openapi'
import type { Metrics } from '../../observe/metrics.ts'
import type { MetricsAccess } from '../../observe/metrics-access.ts'
import { Reply } from '../reply.ts'
import { openRoute, type Route } from '../route.ts'

export function metricsRoute(metrics: Pick<Metrics, 'print'>, mayRead: MetricsAccess): Route {
  return openRoute({
    method: 'get',
    path: '/metrics',
    summary: 'The metrics of this process, for Prometheus',
    description: 'Open to this machine. Other machines send the master key or TOLLGATE_METRICS_TOKEN.',
    check: mayRead,
    produces: 'text/plain',
    returns: z.string(),
    errors: { 401: 'No key, or a wrong one.' },
    async handle() {
      const { contentType, text } = await metrics.print()
      return new Reply(text, { headers: { 'Content-Type': contentType } })
    },
  })
}
