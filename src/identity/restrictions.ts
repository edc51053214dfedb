/** What a credential was restricted to besides its permissions: models and routes. */
import { TollgateError } from '../http/errors.ts'
import { isRouteAllowed } from '../http/route-group.ts'
import { matchPattern } from '../routing/pattern.ts'
import type { Caller } from './caller.ts'

/** @param model as the request names it. */
export function mayCallModel({ models }: Pick<Caller, 'models'>, model: string): boolean {
  return models === null || models.some((rule) => matches(rule, model))
}

/** @throws {TollgateError} 403. */
export function requireModel(caller: Pick<Caller, 'models'>, model: string): void {
  if (mayCallModel(caller, model)) return
  throw new TollgateError(
    403,
    'model_not_allowed',
    `This key may not call the model ${JSON.stringify(model.slice(0, 200))}. GET /v1/models lists those it may.`,
    { param: 'model' },
  )
}

/** @param path in its one form, see request-path.ts. @throws {TollgateError} 403. */
export function requireRoute({ routes }: Pick<Caller, 'routes'>, path: string): void {
  if (routes === null || isRouteAllowed(routes, path)) return
  throw new TollgateError(
    403,
    'route_not_allowed',
    `This key may not call this route. It may call: ${routes.join(', ')}.`,
  )
}

/** `gpt-4o*` allows `gpt-4o` too, as LiteLLM's callers expect of a restriction. */
function matches(rule: string, model: string): boolean {
  return matchPattern(rule, model) !== null || (rule.endsWith('*') && model === rule.slice(0, -1))
}
