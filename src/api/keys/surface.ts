/** A user's own keys, for the app: made with a budget, limits and models, made anew, revoked. */
import { z } from '@hono/zod-openapi'
import { listOwnKeys, type OwnKey } from '../../billing/own-keys.ts'
import { placeOf } from '../../billing/spenders/place.ts'
import { deleteVirtualKeys, makeVirtualKey, remakeVirtualKey } from '../../billing/spenders/virtual-keys.ts'
import { refuseTooMany, remakeUserKey, revokeUserKey } from '../../billing/user-keys.ts'
import type { Database } from '../../db/connect.ts'
import { TollgateError } from '../../http/errors.ts'
import type { Caller } from '../../identity/caller.ts'
import { isRestricted } from '../../identity/restrictions.ts'
import { dollarsIn, durationIn } from '../litellm/amounts.ts'
import { newSettings } from '../litellm/terms.ts'
import { type Route, route } from '../route.ts'
import type { Surface } from '../surface.ts'
import { madeOwnKeyView, ownKeyView, viewOfOwnKey } from './key-view.ts'

const PATH = '/api/v1/keys'
const ERRORS = { 404: 'You have no such key.' }
const params = z.object({ key_id: z.uuid() })
const count = z.int().min(1).max(2_147_483_647).nullish()

const body = z.object({
  name: z.string().trim().min(1).max(200),
  models: z.array(z.string().min(1).max(200)).max(1_000).nullish(),
  max_budget: dollarsIn('max_budget').nullish(),
  budget_duration: durationIn('budget_duration').nullish(),
  rpm_limit: count,
  tpm_limit: count,
  expires_in_days: z.int().min(1).max(3_650).default(90),
})

export function createKeySurface({ reports }: { reports: Database }): Surface {
  return {
    name: 'Own keys',
    description: 'Keys of your own, with budgets, limits and models.',
    invalidStatus: 422,
    routes: [listRoute(reports), makeRoute(reports), rotateRoute(reports), revokeRoute(reports)],
  }
}

function listRoute(reports: Database): Route {
  return route({
    method: 'get',
    path: PATH,
    may: 'keys:own',
    summary: 'Your own keys, with what they spent',
    description: 'The newest first; revoked ones for 30 days after they were made.',
    returns: z.object({ data: z.array(ownKeyView) }),
    handle: async ({ caller }) => ({ data: (await listOwnKeys(reports, caller)).map(viewOfOwnKey) }),
  })
}

function makeRoute(reports: Database): Route {
  return route({
    method: 'post',
    path: PATH,
    may: 'keys:own',
    summary: 'Make a key of your own, with a budget, limits and models',
    description: 'Its calls spend your credits. Amounts are dollars, and exact. It is shown only once.',
    body,
    returns: madeOwnKeyView,
    status: 201,
    errors: { 400: 'Another key of the organization has this name.', 409: 'You have too many keys.' },
    async handle({ caller, change, body: { name, expires_in_days: days, ...asked } }) {
      refuseRestricted(caller)
      refuseTooMany(await listOwnKeys(reports, caller))
      const place = await placeOf(reports, caller, null)
      const made = await makeVirtualKey(
        reports,
        caller,
        place,
        {
          ...{ key: null, alias: name, duration: `${days}d`, userId: caller.userId },
          ...{ team: null, budget: null, routes: null, isBlocked: false, settings: newSettings(asked) },
        },
        change,
      )
      return { key: made.key, ...viewOfOwnKey(await findOwn(reports, caller, made.row.id)) }
    },
  })
}

function rotateRoute(reports: Database): Route {
  return route({
    method: 'post',
    path: `${PATH}/{key_id}/rotate`,
    may: 'keys:own',
    summary: 'Give a key of your own a new secret',
    description: 'Budget, limits and models stay. The old secret is refused everywhere within a second.',
    params,
    returns: madeOwnKeyView,
    errors: ERRORS,
    async handle({ caller, change, params: { key_id: id } }) {
      refuseRestricted(caller)
      const own = await findActive(reports, caller, id)
      const key =
        own.bounds === null
          ? await remakeUserKey(reports, caller, id, change)
          : (await remakeVirtualKey(reports, caller, own.bounds, { key: null, change: { settings: {} } }, change)).key
      return { key, ...viewOfOwnKey(await findOwn(reports, caller, id)) }
    },
  })
}

function revokeRoute(reports: Database): Route {
  return route({
    method: 'delete',
    path: `${PATH}/{key_id}`,
    may: 'keys:own',
    summary: 'Revoke a key of your own; it is refused everywhere within a second',
    params,
    returns: z.object({ revoked: z.literal(true) }),
    errors: ERRORS,
    async handle({ caller, change, params: { key_id: id } }) {
      const { bounds } = await findActive(reports, caller, id)
      if (bounds === null) await revokeUserKey(reports, caller, id, change)
      else await deleteVirtualKeys(reports, [bounds], change)
      return { revoked: true as const }
    },
  })
}

/** @throws {TollgateError} 403. */
function refuseRestricted(caller: Caller): void {
  if (!isRestricted(caller)) return
  const message =
    'A key that is restricted gives out no keys: they would do more than it may. Sign in, or use one without restrictions.'
  throw new TollgateError(403, 'permission_denied', message)
}

/** @throws {TollgateError} 404, also for somebody else's. */
async function findOwn(reports: Database, caller: Caller, id: string): Promise<OwnKey> {
  const found = (await listOwnKeys(reports, caller)).find((key) => key.id === id)
  if (found === undefined) throw new TollgateError(404, 'key_not_found', 'You have no such key.')
  return found
}

/** @throws {TollgateError} 404, also for one that was revoked. */
async function findActive(reports: Database, caller: Caller, id: string): Promise<OwnKey> {
  const found = await findOwn(reports, caller, id)
  if (found.state !== 'revoked') return found
  throw new TollgateError(404, 'key_not_found', 'This key was revoked. Make another.')
}
