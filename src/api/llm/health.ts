/** Health for callers of Ops-Center: always 200, with the state in the body. */
import { z } from '@hono/zod-openapi'
import { openRoute, type Route } from '../route.ts'
import type { LlmDependencies } from './dependencies.ts'

const health = z.object({
  status: z.enum(['healthy', 'degraded']),
  litellm_proxy: z.enum(['up', 'down']),
  timestamp: z.iso.datetime(),
  error: z.string().optional(),
})

export function healthRoutes({ health: state, now }: LlmDependencies): Route[] {
  return ['/api/v1/llm/health', '/api/v1/health', '/api/v1/system/status'].map((path) =>
    openRoute({
      method: 'get',
      path,
      summary: 'Whether calls can be made; always 200',
      returns: health,
      async handle() {
        const { ready, reason } = await state.ready()
        return {
          status: ready ? ('healthy' as const) : ('degraded' as const),
          litellm_proxy: ready ? ('up' as const) : ('down' as const),
          timestamp: now().toISOString(),
          ...(reason === null ? {} : { error: reason }),
        }
      },
    }),
  )
}
