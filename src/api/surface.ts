/**
 * A surface: routes of one audience under one description. Mounted here, in the order that no route can change: who asks, whether
 * they may, whether the request fits, then the work. So a stranger learns nothing but 401, also with an unknown id or a broken body.
 */
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { type RateLimits, rateHeaders } from '../admission/rate-limits.ts'
import type { AppEnv } from '../http/app-env.ts'
import { requestQuery } from '../http/request-query.ts'
import type { ClientOf } from '../http/trusted-proxies.ts'
import { actorOf } from '../identity/caller.ts'
import type { Identify } from '../identity/identify.ts'
import { requirePermission } from '../identity/permissions.ts'
import { describeRoute, type Group } from './describe-route.ts'
import type { Reply } from './reply.ts'
import type { Route } from './route.ts'

/** The paths whose limits Ops-Center's callers know. The model list and its like are asked for by every SDK that starts. */
const LIMITED = /^\/api\/v1\//

export interface Surface extends Group {
  description: string
  routes: readonly Route[]
}

export interface SurfaceDependencies {
  identify: Identify
  clientOf: ClientOf
  rates: RateLimits
}

export function mountSurface(
  app: OpenAPIHono<AppEnv>,
  surface: Surface,
  { identify, rates, clientOf }: SurfaceDependencies,
): void {
  for (const route of surface.routes) {
    app.openAPIRegistry.registerPath(describeRoute(surface, route))
    app.on(route.method.toUpperCase(), honoPath(route), async (c) => {
      const { incoming } = c.env
      const caller = route.may === null ? null : await identify(incoming)
      if (caller !== null && route.may !== null) {
        requirePermission(
          caller,
          route.may,
          route.organization === undefined ? undefined : c.req.param(route.organization),
        )
      }
      const query = requestQuery(incoming)
      const client = clientOf(incoming)
      // After what is asked was found to be right: a mistake is not counted, and neither is a stranger.
      const admit = async () => {
        if (caller === null || !LIMITED.test(route.path)) return
        const rule = rates.ruleOf(route.method.toUpperCase(), route.path)
        const state = await rates.request(rule, actorOf(caller))
        for (const [name, value] of Object.entries(rateHeaders(state))) c.header(name, value)
      }
      const arrival = { incoming, params: c.req.param(), query, requestId: c.get('requestId'), client, admit }
      return send(c, route, await route.respond(arrival, caller, surface.invalidStatus))
    })
  }
}

/** `/keys/{key}` as Hono writes it: `/keys/:key`. */
function honoPath({ path, restOfPath = false }: Route): string {
  return `${path.replaceAll(/\{(\w+)\}/g, ':$1')}${restOfPath ? '{.+}' : ''}`
}

/** Numbers made by exactNumber keep their digits. */
function send(c: Context<AppEnv>, { produces }: Route, { body, status, headers }: Reply<unknown>): Response {
  c.header('Content-Type', produces ?? 'application/json')
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === 'string') c.header(name, value)
    else for (const one of value) c.header(name, one, { append: true })
  }
  if (produces === undefined) return c.body(JSON.stringify(body), status as 200)
  return c.body(body instanceof Uint8Array ? Uint8Array.from(body) : String(body), status as 200)
}
