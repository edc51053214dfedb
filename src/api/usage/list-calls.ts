/** Calls, as people look for them: the newest first, what runs on top. */
import { z } from '@hono/zod-openapi'
import { isUuid } from '../../db/uuid.ts'
import { TollgateError } from '../../http/errors.ts'
import type { Caller } from '../../identity/caller.ts'
import { requirePermission } from '../../identity/permissions.ts'
import { type CallFilter, type CallPlace, listEnded, listRunning } from '../../reports/list-calls.ts'
import { numberInQuery } from '../number-in-query.ts'
import { type Route, route } from '../route.ts'
import { callRow } from './call-schemas.ts'
import type { UsageDependencies } from './dependencies.ts'

const text = (max: number) => z.string().min(1).max(max).optional()

const query = z.object({
  scope: z.enum(['user', 'organization', 'system']).default('user').openapi({
    description:
      "`user`: your own calls. `organization`: those of your organization, for its admins. `system`: everybody's, for the operator.",
  }),
  q: text(255).openapi({
    description: 'The id of a call, or at least its first eight digits; or the whole X-Request-ID of a request.',
  }),
  state: text(40).openapi({ description: '`running`, or an outcome such as `answered` or `failed`.' }),
  model: text(200),
  key: text(255).openapi({ description: 'The id of an API key.' }),
  user: text(255).openapi({ description: 'One user only, in the scopes beyond your own.' }),
  limit: numberInQuery('limit', { min: 1, max: 200, default: 50 }),
  cursor: z.string().max(500).optional().openapi({ description: 'The `next_cursor` of the page before.' }),
})

export function listCallsRoute({ reports }: Pick<UsageDependencies, 'reports'>): Route {
  return route({
    method: 'get',
    path: '/api/v1/calls',
    may: 'calls:read_own',
    summary: 'Calls, the newest first',
    description:
      'The first page begins with the calls that run, at most 200 of them; the rest have ended. What a call cost has the corrections of it in.',
    query,
    returns: z
      .object({
        data: z.array(callRow),
        next_cursor: z.string().nullable().openapi({ description: 'Null on the last page.' }),
      })
      .openapi('CallList'),
    async handle({ caller, query: asked }) {
      const filter = filterOf(caller, asked)
      const after = readCursor(asked.cursor)
      const [running, ended] = await Promise.all([
        after === null ? listRunning(reports, filter) : [],
        listEnded(reports, filter, { limit: asked.limit, after }),
      ])
      const page = ended.slice(0, asked.limit)
      return {
        data: [...running, ...page.map(({ place: _, ...row }) => row)],
        next_cursor: ended.length > page.length ? writeCursor(page.at(-1)!.place) : null,
      }
    },
  })
}

/** @throws {TollgateError} 403 for calls that the caller may not see. */
function filterOf(caller: Caller, { scope, q, state, model, key, user }: z.output<typeof query>): CallFilter {
  if (scope === 'system') requirePermission(caller, 'billing:system')
  if (scope === 'organization') requirePermission(caller, 'calls:read_organization', caller.organizationId)
  const filter = {
    organizationId: scope === 'system' ? undefined : caller.organizationId,
    userId: scope === 'user' ? caller.userId : user,
    ...{ id: q?.trim(), state, model, keyId: key },
  }
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined))
}

function writeCursor(place: CallPlace): string {
  return Buffer.from(place.join(' ')).toString('base64url')
}

/** @throws {TollgateError} 422 for what is no cursor. */
function readCursor(cursor: string | undefined): CallPlace | null {
  if (cursor === undefined) return null
  const [, at = '', callId = ''] = /^(\d{1,16}) (\S{36})$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  if (isUuid(callId)) return [at, callId]
  throw new TollgateError(422, 'invalid_request', '"cursor" must be the next_cursor of the page before.', {
    param: 'cursor',
  })
}
