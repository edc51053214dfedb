/**
 * A surface: routes of one audience under one description. They are mounted in an order that no route can change: who asks, whether
 * they may, whether the request fits, then the work. So a stranger learns nothing but 401, also with an unknown id or a broken body.
 */
import type { IncomingMessage } from 'node:http'
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import type { DocumentBytes } from '../admission/document-bytes.ts'
import type { MistakenRequests } from '../admission/mistaken-requests.ts'
import { type RateLimits, rateHeaders } from '../admission/rate-limits.ts'
import type { AppEnv } from '../http/app-env.ts'
import { requestQuery } from '../http/request-query.ts'
import type { ClientOf } from '../http/trusted-proxies.ts'
import { actorOf, type Caller } from '../identity/caller.ts'
import type { Identify } from '../identity/identify.ts'
import { requirePermission } from '../identity/permissions.ts'
import { describeRoute, type Group } from './describe-route.ts'
import type { Reply } from './reply.ts'
import type { Arrival, Route } from './route.ts'

/** The paths whose limits Ops-Center's callers know. Every SDK asks for the model list when it starts, so that is not limited. */
const LIMITED = /^\/api\/v1\//

/** What a body counts as whose size was not stated: most are smaller. */
const UNSTATED_BYTES = 16 * 1024

export interface Surface extends Group {
  description: string
  routes: readonly Route[]
}

export interface SurfaceDependencies {
  identify: Identify
  clientOf: ClientOf
  rates: RateLimits
  mistakes: MistakenRequests
  documents: DocumentBytes
}

export function mountSurface(app: OpenAPIHono<AppEnv>, surface: Surface, deps: SurfaceDependencies): void {
  for (const route of surface.routes) {
    app.openAPIRegistry.registerPath(describeRoute(surface, route))
    const name = `${route.method} ${route.path}`
    app.on(route.method.toUpperCase(), honoPath(route), async (c) => {
      const caller = route.may === null ? null : await deps.identify(c.env.incoming)
      if (caller === null)
        return send(c, route, deps, await route.respond(arrivalOf(c, deps), null, surface.invalidStatus))
      deps.mistakes.refuse(caller, name)
      try {
        return send(c, route, deps, await respondTo(c, route, caller, surface.invalidStatus, deps))
      } catch (error) {
        deps.mistakes.count(caller, name, sizeOf(c.env.incoming), error)
        throw error
      }
    })
  }
}

function respondTo(
  c: Context<AppEnv>,
  route: Route,
  caller: Caller,
  invalidStatus: number,
  deps: SurfaceDependencies,
): Promise<Reply<unknown>> {
  const { may, organization, method, path } = route
  if (may !== null) requirePermission(caller, may, organization === undefined ? undefined : c.req.param(organization))
  // Counted after the checks: neither a mistake nor a stranger is counted.
  const admit = async () => {
    if (!LIMITED.test(path)) return
    const state = await deps.rates.request(deps.rates.ruleOf(method.toUpperCase(), path), actorOf(caller))
    for (const [name, value] of Object.entries(rateHeaders(state))) c.header(name, value)
  }
  return route.respond({ ...arrivalOf(c, deps), admit }, caller, invalidStatus)
}

/** Of a body that comes in pieces nobody says it. */
function sizeOf({ headers }: IncomingMessage): number {
  if (headers['transfer-encoding'] !== undefined) return UNSTATED_BYTES
  return Number(headers['content-length'] ?? 0) || 0
}

function arrivalOf(c: Context<AppEnv>, { clientOf }: SurfaceDependencies): Arrival {
  const { incoming } = c.env
  const query = requestQuery(incoming)
  return { incoming, params: c.req.param(), query, requestId: c.get('requestId'), client: clientOf(incoming) }
}

/** `/keys/{key}` as Hono writes it: `/keys/:key`. */
function honoPath({ path, restOfPath = false }: Route): string {
  return `${path.replaceAll(/\{(\w+)\}/g, ':$1')}${restOfPath ? '{.+}' : ''}`
}

/** Numbers made by exactNumber keep their digits. */
function send(
  c: Context<AppEnv>,
  { produces, may }: Route,
  { documents, clientOf }: SurfaceDependencies,
  { body, status, headers }: Reply<unknown>,
): Response {
  if (may === null && body instanceof Uint8Array) documents.take(clientOf(c.env.incoming).address, body.length)
  c.header('Content-Type', produces ?? 'application/json')
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === 'string') c.header(name, value)
    else for (const one of value) c.header(name, one, { append: true })
  }
  if (produces === undefined) return c.body(JSON.stringify(body), status as 200)
  return c.body(body instanceof Uint8Array ? (body as Uint8Array<ArrayBuffer>) : String(body), status as 200)
}
