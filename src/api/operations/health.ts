/** Probes for balancers and orchestrators. None of them needs a credential or makes a paid call. */
import { z } from '@hono/zod-openapi'
import type { Health } from '../../observe/health.ts'
import { Reply } from '../reply.ts'
import { openRoute, type Route } from '../route.ts'

/** @param path LiteLLM has two spellings, and its probes use both. */
export function livenessRoute(path: '/health/liveliness' | '/health/liveness'): Route {
  return openRoute({
    method: 'get',
    path,
    summary: 'The process runs',
    returns: z.literal("I'm alive!"),
    handle: () => "I'm alive!" as const,
  })
}

const readiness = z
  .object({
    status: z.enum(['ready', 'not ready']),
    reason: z.string().nullable().openapi({ description: 'Null where it is ready.' }),
  })
  .openapi('Readiness')

export function readinessRoute(health: Health): Route {
  return openRoute({
    method: 'get',
    path: '/health/readiness',
    summary: 'Calls can be taken',
    returns: readiness,
    also: {
      503: { description: 'The database does not respond, or the process is shutting down.', schema: readiness },
    },
    async handle() {
      const { ready, reason } = await health.ready()
      const status: 'ready' | 'not ready' = ready ? 'ready' : 'not ready'
      return new Reply({ status, reason }, { status: ready ? 200 : 503 })
    },
  })
}
