/** Describes a route for OpenAPI: its own words, and what all routes share. */
import { type RouteConfig, z } from '@hono/zod-openapi'
import { operationIdOf } from './operation-id.ts'
import type { Route } from './route.ts'

/** The one shape of every error. */
export const errorSchema = z
  .object({
    error: z.looseObject({
      message: z.string().openapi({ description: 'What is wrong and what to do next.' }),
      type: z.string(),
      param: z.string().nullable().openapi({ description: 'The member or parameter at fault.' }),
      code: z.string().openapi({ description: 'A stable code, for programs.' }),
    }),
    detail: z.string().openapi({ description: 'The message again.' }),
  })
  .openapi('Error')

/** What a route takes from its surface. */
export interface Group {
  /** The group of its routes on /docs. */
  name: string
  /** The status of a request that does not fit its schema: 422 on /api/v1, as the callers of Ops-Center expect, else 400. */
  invalidStatus: 400 | 422
}

/** Marks a route that requires a credential; describeApi adds the other places where it may be. */
export const CREDENTIAL: { [scheme: string]: string[] }[] = [{ bearer: [] }]

export function describeRoute(surface: Group, route: Route): RouteConfig {
  const { method, path, summary, description, params, query, body, returns, produces, status = 200 } = route
  return {
    method,
    path,
    operationId: operationIdOf(method, path),
    tags: [surface.name],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(route.may === null ? {} : { security: CREDENTIAL }),
    request: {
      ...(params === undefined ? {} : { params: namedIn(path, params as z.ZodObject) }),
      ...(query === undefined ? {} : { query: query as z.ZodObject }),
      ...(body === undefined ? {} : { body: { ...jsonOf(body), required: !body.safeParse({}).success } }),
    },
    responses: {
      [status]: {
        description: status < 400 ? 'Success.' : 'Always.',
        content: { [produces ?? 'application/json']: { schema: returns } },
      },
      ...Object.fromEntries(
        Object.entries(route.also ?? {}).map(([code, { description: text, schema }]) => [
          code,
          { description: text, ...jsonOf(schema) },
        ]),
      ),
      ...Object.fromEntries(
        Object.entries({ ...commonErrors(surface, route), ...route.errors }).map(([code, text]) => [
          code,
          { description: text, ...jsonOf(route.errorSchema ?? errorSchema) },
        ]),
      ),
    },
  }
}

/** Routes of one family may share a schema, although a path may lack some of its parameters. */
function namedIn(path: string, params: z.ZodObject): z.ZodObject {
  return z.object(Object.fromEntries(Object.entries(params.shape).filter(([name]) => path.includes(`{${name}}`))))
}

function commonErrors({ invalidStatus }: Pick<Group, 'invalidStatus'>, route: Route): Record<number, string> {
  const takesInput = route.params !== undefined || route.query !== undefined || route.body !== undefined
  return {
    ...(route.may === null ? {} : { 401: 'No credential, or one that is not valid.', ...UNAVAILABLE }),
    ...(route.may === null ? {} : { 403: 'The caller may not do this.' }),
    ...(route.body === undefined ? {} : BODY_ERRORS),
    ...(namesSomething(route) ? { 404: 'There is nothing with this id.' } : {}),
    ...(takesInput ? { [invalidStatus]: 'A parameter or a member of the body does not fit its schema.' } : {}),
  }
}

/** A path, a query or a body may name an id that does not exist. */
function namesSomething({ path, query, body }: Route): boolean {
  return path.includes('{') || [query, body].some((schema) => schema instanceof z.ZodObject && 'org_id' in schema.shape)
}

const UNAVAILABLE = { 503: 'The database does not respond. Try again after the seconds in Retry-After.' }

const BODY_ERRORS = {
  400: 'The body is not a JSON object.',
  408: 'The body did not arrive in time.',
  413: 'The body is larger than 64 KiB.',
  415: 'The body is compressed, or its content type is not JSON.',
}

function jsonOf(schema: z.ZodType) {
  return { content: { 'application/json': { schema } } }
}
