/** The OpenAPI description of every route. It is made from the routes themselves, so it can't leave one out. */
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { AppEnv } from '../http/app-env.ts'
import { type CredentialPlaces, credentialSchemes } from './credential-schemes.ts'
import type { Group } from './describe-route.ts'

export type OpenApiDocument = ReturnType<OpenAPIHono['getOpenAPI31Document']>

/** A group of routes on /docs. */
export interface Described extends Pick<Group, 'name'> {
  description: string
}

/** Call it once every route is mounted. A route that requires a credential accepts every kind. */
export function describeApi(
  app: OpenAPIHono<AppEnv>,
  { version, groups, credentials }: { version: string; groups: readonly Described[]; credentials: CredentialPlaces },
): OpenApiDocument {
  const schemes = credentialSchemes(credentials)
  for (const [name, scheme] of Object.entries(schemes))
    app.openAPIRegistry.registerComponent('securitySchemes', name, scheme)
  const document = app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Tollgate',
      version,
      description:
        'OpenAI-compatible proxy that meters every call against prepaid credits. One credit is $0.001.\n\nPoint any OpenAI SDK here: only the base URL and the key change.',
    },
    // Relative: the server that serves the document.
    servers: [{ url: '/' }],
    tags: groups.map(({ name, description }) => ({ name, description })),
  })
  const any = Object.keys(schemes).map((name) => ({ [name]: [] }))
  for (const path of Object.values(document.paths ?? {}))
    for (const operation of Object.values(path)) if (isOperation(operation)) operation.security = any
  return document
}

function isOperation(value: unknown): value is { security: Record<string, string[]>[] } {
  return typeof value === 'object' && value !== null && 'security' in value
}
