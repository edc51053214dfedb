/** Virtual keys: made, changed, blocked, made anew, deleted. */
import { z } from '@hono/zod-openapi'
import { placeOf } from '../../billing/spenders/place.ts'
import {
  changeVirtualKey,
  deleteVirtualKeys,
  findByAlias,
  findVirtualKey,
  type KeyChange,
  makeVirtualKey,
  remakeVirtualKey,
} from '../../billing/spenders/virtual-keys.ts'
import type { Config } from '../../config/config.ts'
import type { Database } from '../../db/connect.ts'
import { TollgateError } from '../../http/errors.ts'
import { checkInput } from '../check-input.ts'
import { type Route, route } from '../route.ts'
import {
  keyChangeBody,
  keyView,
  madeKeyView,
  newKeyBody,
  remadeKeyBody,
  routesIn,
  viewOfKey,
  viewOfMade,
} from './key-schemas.ts'
import { newSettings, refuseUnenforced, settingsIn } from './terms.ts'

export interface KeyDependencies {
  reports: Database
  config: Pick<Config, 'keyDefaults'>
}

const UNKNOWN = { 404: 'There is no such virtual key, budget or team among those you may see.' }

export function keyRoutes(deps: KeyDependencies): Route[] {
  return [
    generateRoute(deps),
    updateRoute(deps),
    deleteRoute(deps),
    blockRoute(deps, 'block'),
    blockRoute(deps, 'unblock'),
    regenerateRoute(deps, '/key/regenerate'),
    regenerateRoute(deps, '/key/{key}/regenerate'),
  ]
}

function generateRoute({ reports, config }: KeyDependencies): Route {
  return route({
    method: 'post',
    path: '/key/generate',
    may: 'budgets:manage',
    summary: 'Make a virtual key',
    description:
      'A key with budgets, rates and lists of its own. It is shown only once, and is valid everywhere within a second. ' +
      'Amounts are dollars, and exact. A member that would protect something and is not enforced here is refused.',
    body: newKeyBody,
    returns: madeKeyView,
    errors: UNKNOWN,
    async handle({ caller, body: sent, change }) {
      const body = withDefaults(sent, config.keyDefaults)
      refuseUnenforced(body)
      const place = await placeOf(reports, caller, body.organization_id ?? null)
      const asked = {
        key: body.key ?? null,
        alias: body.key_alias ?? null,
        duration: body.duration ?? null,
        userId: body.user_id ?? null,
        team: body.team_id ?? null,
        budget: body.budget_id ?? null,
        routes: routesIn(body) ?? null,
        isBlocked: body.blocked ?? false,
        settings: newSettings(body),
      }
      return viewOfMade(await makeVirtualKey(reports, caller, place, asked, change))
    },
  })
}

type NewKey = z.output<typeof newKeyBody>

/** What the maker did not say, `default_key_generate_params` does. @throws {TollgateError} 400 naming the member that is wrong. */
function withDefaults(body: NewKey, defaults: Config['keyDefaults']): NewKey {
  const stated = Object.keys(defaults)
  if (stated.length === 0) return body
  const read = checkInput(newKeyBody, defaults, 400)
  const left = Object.entries(read).filter(([name]) => body[name as keyof NewKey] == null)
  return { ...body, ...Object.fromEntries(left) }
}

function updateRoute({ reports }: KeyDependencies): Route {
  return route({
    method: 'post',
    path: '/key/update',
    may: 'budgets:manage',
    summary: 'Change a virtual key',
    description:
      'Only what is named changes; null removes it. Counts everywhere within a second, also for a budget that is used up.',
    body: keyChangeBody,
    returns: keyView,
    errors: UNKNOWN,
    async handle({ caller, body, change }) {
      refuseUnenforced(body)
      const row = await findVirtualKey(reports, caller, body.key)
      return viewOfKey(await changeVirtualKey(reports, caller, row, changeIn(body), change))
    },
  })
}

function changeIn(body: Omit<z.output<typeof keyChangeBody>, 'key'>): KeyChange {
  return {
    settings: settingsIn(body),
    alias: body.key_alias,
    duration: body.duration,
    userId: body.user_id,
    team: body.team_id,
    budget: body.budget_id,
    routes: routesIn(body),
    isBlocked: body.blocked ?? undefined,
  }
}

function deleteRoute({ reports }: KeyDependencies): Route {
  const list = z.array(z.string().min(1)).max(1_000)
  return route({
    method: 'post',
    path: '/key/delete',
    may: 'budgets:manage',
    summary: 'Delete virtual keys',
    description:
      'All of them or none. They are refused everywhere within a second; what they spent stays in the books.',
    body: z.object({ keys: list.nullish(), key_aliases: list.nullish() }),
    returns: z.object({ deleted_keys: z.array(z.string()) }),
    errors: UNKNOWN,
    async handle({ caller, body: { keys, key_aliases: aliases }, change }) {
      const named = [...(keys ?? []), ...(aliases ?? [])]
      if (named.length === 0)
        throw new TollgateError(400, 'invalid_request', 'Send "keys" or "key_aliases", a list of those to delete.', {
          param: 'keys',
        })
      const rows = []
      for (const key of new Set(keys ?? [])) rows.push(await findVirtualKey(reports, caller, key))
      for (const alias of new Set(aliases ?? [])) rows.push(await findByAlias(reports, caller, alias))
      await deleteVirtualKeys(reports, rows, change)
      return { deleted_keys: rows.map(({ key }) => key?.hash ?? '') }
    },
  })
}

function blockRoute({ reports }: KeyDependencies, what: 'block' | 'unblock'): Route {
  return route({
    method: 'post',
    path: `/key/${what}`,
    may: 'budgets:manage',
    summary: what === 'block' ? 'Refuse a virtual key for now' : 'Take a blocked virtual key again',
    description: 'Everywhere within a second.',
    body: z.object({ key: z.string().min(1) }),
    returns: keyView,
    errors: UNKNOWN,
    async handle({ caller, body, change }) {
      const row = await findVirtualKey(reports, caller, body.key)
      const asked = { settings: {}, isBlocked: what === 'block' } as KeyChange
      return viewOfKey(await changeVirtualKey(reports, caller, row, asked, change))
    },
  })
}

function regenerateRoute({ reports }: KeyDependencies, path: '/key/regenerate' | '/key/{key}/regenerate'): Route {
  return route({
    method: 'post',
    path,
    may: 'budgets:manage',
    summary: 'Give a virtual key another text',
    description: 'Budgets and what was spent of them stay. The old text is refused everywhere within a second.',
    params: z.object(path === '/key/regenerate' ? {} : { key: z.string() }),
    body: remadeKeyBody,
    returns: madeKeyView,
    errors: UNKNOWN,
    async handle({ caller, params, body, change }) {
      refuseUnenforced(body)
      const reference = (params as { key?: string }).key ?? body.key
      if (reference == null)
        throw new TollgateError(400, 'invalid_request', '"key" must be the key, or its hash.', { param: 'key' })
      const row = await findVirtualKey(reports, caller, reference)
      const asked = { key: body.new_key ?? null, change: changeIn(body) }
      return viewOfMade(await remakeVirtualKey(reports, caller, row, asked, change))
    },
  })
}
