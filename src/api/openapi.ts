/** The OpenAPI description of every route: made of the routes themselves, so it can't leave one out. */
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { AppEnv } from '../http/app-env.ts'
import type { Group } from './describe-route.ts'

export type OpenApiDocument = ReturnType<OpenAPIHono['getOpenAPI31Document']>

/** What is said of a group of routes in /docs. */
export interface Described extends Pick<Group, 'name'> {
  description: string
}

/** Call it once every route is mounted. */
export function describeApi(
  app: OpenAPIHono<AppEnv>,
  { version, groups }: { version: string; groups: readonly Described[] },
): OpenApiDocument {
  app.openAPIRegistry.registerComponent('securitySchemes', 'key', {
    type: 'http',
    scheme: 'bearer',
    description: 'An API key (`uc_` and 64 hex digits) or the master key.',
  })
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Tollgate',
      version,
      description:
        'OpenAI-compatible proxy that meters every call against prepaid credits. One credit is $0.001.\n\nPoint any OpenAI SDK here: only the base URL and the key change.',
    },
    // Relative: the same address that serves the document.
    servers: [{ url: '/' }],
    tags: groups.map(({ name, description }) => ({ name, description })),
  })
}
