/** What a credential was restricted to besides its permissions: models and routes. */
import { TollgateError } from '../http/errors.ts'
import { isRouteAllowed } from '../http/route-group.ts'
import { matchPattern } from '../routing/pattern.ts'
import type { Caller } from './caller.ts'
import type { SpenderKind } from './spender.ts'

/** @param model as the request names it. */
export function mayCallModel(caller: Restricted, model: string): boolean {
  return refuserOf(caller, model) === null
}

/** @throws {TollgateError} 403. */
export function requireModel(caller: Restricted, model: string): void {
  const refuser = refuserOf(caller, model)
  if (refuser === null) return
  const whose = WHOSE[refuser]
  throw new TollgateError(
    403,
    'model_not_allowed',
    `This ${whose.what} may not call the model ${JSON.stringify(model.slice(0, 200))}. GET /v1/models lists those it may.`,
    { param: 'model', ...(isVirtual(caller) ? { type: whose.type, fields: { code: '403' } } : {}) },
  )
}

/** What is named here is asked for in its place; null: the model itself. */
export function aliasOf({ aliases }: Pick<Caller, 'aliases'>, model: string): string | null {
  return aliases !== null && Object.hasOwn(aliases, model) ? (aliases[model] ?? null) : null
}

/** Clients of virtual keys know LiteLLM's errors. */
export function isVirtual({ credential }: Pick<Caller, 'credential'>): boolean {
  return credential.kind === 'virtual_key'
}

/** @throws {TollgateError} 403. */
export function requireNotBlocked({ spenders }: Pick<Caller, 'spenders'>): void {
  const blocked = spenders.find(({ isBlocked }) => isBlocked)
  if (blocked === undefined) return
  throw new TollgateError(
    403,
    'blocked',
    `This ${WHOSE[blocked.kind].what} is blocked. Ask who administers it to unblock it.`,
    { type: 'auth_error' },
  )
}

type Restricted = Pick<Caller, 'models' | 'spenders' | 'aliases' | 'credential'>

/** Whose list does not have the model. An alias is a key's own: its list may have either name, that of others what it stands for. */
function refuserOf(caller: Restricted, model: string): SpenderKind | null {
  const meant = aliasOf(caller, model) ?? model
  const allows = (models: readonly string[] | null, name: string) =>
    models === null || models.some((rule) => matches(rule, name))
  if (!allows(caller.models, model) && !allows(caller.models, meant)) return 'key'
  return caller.spenders.find(({ kind, models }) => kind !== 'key' && !allows(models, meant))?.kind ?? null
}

/** LiteLLM's names of the error. */
const WHOSE: Readonly<Record<SpenderKind, { what: string; type: string }>> = {
  key: { what: 'key', type: 'key_model_access_denied' },
  user: { what: 'user', type: 'user_model_access_denied' },
  team: { what: 'team', type: 'team_model_access_denied' },
  team_member: { what: 'member of the team', type: 'team_model_access_denied' },
  organization: { what: 'organization', type: 'org_model_access_denied' },
  customer: { what: 'customer', type: 'user_model_access_denied' },
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
export function matches(rule: string, model: string): boolean {
  return matchPattern(rule, model) !== null || (rule.endsWith('*') && model === rule.slice(0, -1))
}

/** The same of a model group, with or without the provider's prefix, as callers may leave it out. */
export function matchesGroup(rule: string, modelGroup: string): boolean {
  return matches(rule, modelGroup) || matches(rule, modelGroup.slice(modelGroup.indexOf('/') + 1))
}

/** Whether the credential may do less than its user, or less often: keys that it gives out would do more. */
export function isRestricted(caller: Pick<Caller, 'scopes' | 'models' | 'routes' | 'limits'>): boolean {
  return [caller.scopes, caller.models, caller.routes].some((bound) => bound !== null) || hasLimits(caller)
}

export function hasLimits({ limits }: Pick<Caller, 'limits'>): boolean {
  return Object.values(limits).some((limit) => limit !== null)
}
