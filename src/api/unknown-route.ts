/** A request to a path that is not a route, or to a route that has other methods. */
import type { Hono } from 'hono'
import type { AppEnv } from '../http/app-env.ts'
import { TollgateError } from '../http/errors.ts'

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
const SHOWN_MAX = 200

/** @returns 405 with the methods that the path has, else 404. Both name the request. */
export function unknownRoute(app: Hono<AppEnv>, method: string, path: string): TollgateError {
  const shown = `${method} ${path.length > SHOWN_MAX ? `${path.slice(0, SHOWN_MAX)}...` : path}`
  const methods = methodsOf(app, path)
  if (methods.length === 0) {
    return new TollgateError(404, 'route_not_found', `${shown} is not a route here. GET /docs lists all there are.`)
  }
  const allowed = methods.join(', ')
  return new TollgateError(405, 'method_not_allowed', `${shown} is not a route here. This path takes ${allowed}.`, {
    headers: { Allow: allowed },
  })
}

/** Middleware is registered for ALL methods, routes for one. */
function methodsOf(app: Hono<AppEnv>, path: string): string[] {
  const found = METHODS.filter((method) =>
    app.router.match(method, path)[0].some(([[, route]]) => route.method === method),
  )
  return found.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
}
