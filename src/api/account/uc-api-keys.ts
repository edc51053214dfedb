/** A user's own API keys, as Ops-Center documented them. */
import { z } from '@hono/zod-openapi'
import { createUserKey, findUserKey, listUserKeys, revokeUserKey, type UserKey } from '../../billing/user-keys.ts'
import type { Database } from '../../db/connect.ts'
import { isUuid } from '../../db/uuid.ts'
import { TollgateError } from '../../http/errors.ts'
import { type Route, route } from '../route.ts'

const PATH = '/api/v1/account/uc-api-keys'
const DEFAULT_PERMISSIONS = ['llm:inference', 'llm:models']

const view = z
  .object({
    key_id: z.uuid(),
    key_name: z.string().nullable(),
    key_preview: z.string().openapi({ example: 'uc_12345...abcd' }),
    permissions: z.array(z.string()).nullable().openapi({ description: 'Null: everything its user may do.' }),
    is_active: z.boolean(),
    state: z.enum(['active', 'expired', 'revoked']),
    created_at: z.iso.datetime(),
    expires_at: z.iso.datetime().nullable(),
  })
  .openapi('UserKey')

const made = view
  .extend({ api_key: z.string().openapi({ description: 'Shown only once.' }), warning: z.string() })
  .openapi('NewUserKey')

const body = z.object({
  name: z.string().trim().min(1).max(200),
  expires_in_days: z.int().min(1).max(3_650).default(90),
  permissions: z
    .array(z.string().max(100))
    .min(1)
    .max(100)
    .default(DEFAULT_PERMISSIONS)
    .openapi({ description: 'At most your own permissions; docs/identity.md lists them.' }),
})

export function userKeyRoutes(database: Database): Route[] {
  const may = 'keys:own'
  const params = z.object({ key_id: z.string() })
  const errors = { 404: 'You have no such key.' }
  return [
    route({
      method: 'post',
      path: PATH,
      may,
      summary: 'Make an API key of your own',
      body,
      returns: made,
      status: 201,
      errors: { 409: 'You have too many keys.' },
      async handle({ caller, change, body: { name, expires_in_days: expiresInDays, permissions } }) {
        const { key, ...row } = await createUserKey(database, caller, { name, permissions, expiresInDays }, change)
        return { ...shown(row), api_key: key, warning: 'Save this API key now. It is not shown again.' }
      },
    }),
    route({
      method: 'get',
      path: PATH,
      may,
      summary: 'List your API keys',
      returns: z.array(view),
      handle: async ({ caller }) => (await listUserKeys(database, caller)).map(shown),
    }),
    route({
      method: 'get',
      path: `${PATH}/{key_id}`,
      may,
      summary: 'Show one of your API keys',
      params,
      returns: view,
      errors,
      handle: async ({ caller, params: { key_id: id } }) => shown(await findUserKey(database, caller, id)),
    }),
    route({
      method: 'delete',
      path: `${PATH}/{key_id}`,
      may,
      summary: 'Revoke one of your API keys; it is refused everywhere within a second',
      params,
      returns: z.object({ success: z.literal(true), message: z.string() }),
      errors,
      async handle({ caller, change, params: { key_id: id } }) {
        if (!isUuid(id)) throw new TollgateError(404, 'key_not_found', 'API key not found')
        await revokeUserKey(database, caller, id, change)
        return { success: true as const, message: 'API key revoked successfully' }
      },
    }),
  ]
}

function shown({ id, name, preview, permissions, state, created_at, expires_at }: UserKey): z.output<typeof view> {
  return {
    key_id: id,
    key_name: name,
    key_preview: preview,
    permissions,
    is_active: state === 'active',
    state,
    created_at: created_at.toISOString(),
    expires_at: expires_at?.toISOString() ?? null,
  }
}
