/** The description of every route, for programs. */
import { z } from '@hono/zod-openapi'
import type { OpenApiDocument } from '../openapi.ts'
import { openRoute, type Route } from '../route.ts'

export function openApiRoute(document: () => OpenApiDocument): Route {
  let text: string | undefined
  return openRoute({
    method: 'get',
    path: '/openapi.json',
    summary: 'This description',
    produces: 'application/json',
    returns: z.custom<string>().openapi({ type: 'object', description: 'OpenAPI 3.1.' }),
    handle() {
      text ??= JSON.stringify(document())
      return text
    },
  })
}
