/** A user's own API keys. A key may never do more than the credential that made it. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import { newApiKey } from '../identity/api-key.ts'
import type { Caller } from '../identity/caller.ts'
import { can, isPermission, type Permission } from '../identity/permissions.ts'
import { hasLimits } from '../identity/restrictions.ts'
import { type Change, changing } from '../vault/audit-log.ts'

export interface UserKey {
  id: string
  name: string | null
  preview: string
  permissions: Permission[] | null
  state: 'active' | 'expired' | 'revoked'
  created_at: Date
  expires_at: Date | null
}

export interface NewUserKey {
  name: string
  permissions: readonly string[]
  expiresInDays: number
}

/** Beyond these a user revokes one first. */
const KEYS_MAX = 100

const VIEW = sql`id, name, preview, scopes as permissions, created_at, expires_at,
  case when not is_active then 'revoked' when expires_at <= tollgate.tollgate_now() then 'expired' else 'active' end as state`

/** The newest first. */
export async function listUserKeys(database: Database, caller: Caller): Promise<UserKey[]> {
  const { rows } = await sql<UserKey>`
    select ${VIEW} from tollgate.api_keys
    where kind = 'api_key' and org_id = ${caller.organizationId} and user_id = ${caller.userId}
    order by created_at desc, id`.execute(database.query)
  return rows
}

/** @throws {TollgateError} 404, also for somebody else's. */
export async function findUserKey(database: Database, caller: Caller, id: string): Promise<UserKey> {
  const found = (await listUserKeys(database, caller)).find((key) => key.id === id)
  if (found === undefined) throw unknownKey()
  return found
}

/**
 * In the caller's organization; where an identity provider vouches for the caller, in every one they are a member of.
 * @throws {TollgateError} 403 for a permission the caller lacks and from a key with limits, 409 for too many keys, 422 for one there is not.
 */
export async function createUserKey(
  database: Database,
  caller: Caller,
  { name, permissions, expiresInDays }: NewUserKey,
  change: Change,
): Promise<UserKey & { key: string }> {
  const scopes = permissions.map((permission) => grantable(caller, permission))
  if (!caller.memberships.has(caller.organizationId) || caller.credential.kind === 'master_key') throw noUser()
  if (hasLimits(caller)) throw limited()
  refuseTooMany(await listUserKeys(database, caller))
  const { key, hash, preview } = newApiKey()
  const isVouchedFor = caller.credential.kind === 'token' || caller.credential.kind === 'session'
  return changing(database, change, 'key.saved', async (transaction) => {
    const { rows } = await sql<UserKey>`
      insert into tollgate.api_keys (key_hash, preview, name, org_id, user_id, created_by, scopes, models, routes,
        all_organizations, expires_at)
      values (${hash}, ${preview}, ${name}, ${caller.organizationId}, ${caller.userId}, ${change.actor.slice(0, 255)}, ${scopes},
        ${caller.models === null ? null : [...caller.models]}, ${caller.routes === null ? null : [...caller.routes]}, ${isVouchedFor},
        tollgate.tollgate_now() + make_interval(days => ${expiresInDays}))
      returning ${VIEW}`.execute(transaction)
    const [made] = rows as [UserKey]
    return { ...made, key }
  })
}

/** It is refused everywhere within a second. @throws {TollgateError} 404, also for somebody else's and for one that is revoked. */
export function revokeUserKey(database: Database, caller: Caller, id: string, change: Change): Promise<void> {
  return changeUserKey(database, caller, id, { is_active: false }, change)
}

/** The same key with another secret; the old one is refused everywhere within a second. @throws {TollgateError} 404. */
export async function remakeUserKey(database: Database, caller: Caller, id: string, change: Change): Promise<string> {
  const { key, hash, preview } = newApiKey()
  await changeUserKey(database, caller, id, { key_hash: hash, preview }, change)
  return key
}

async function changeUserKey(
  database: Database,
  { organizationId, userId }: Caller,
  id: string,
  members: { is_active: false } | { key_hash: Buffer; preview: string },
  change: Change,
): Promise<void> {
  const { numUpdatedRows } = await changing(database, change, 'key.saved', (transaction) =>
    transaction
      .updateTable('tollgate.api_keys')
      .set(members)
      .where('id', '=', id)
      .where('kind', '=', 'api_key')
      .where('org_id', '=', organizationId)
      .where('user_id', '=', userId)
      .where('is_active', '=', true)
      .executeTakeFirst(),
  )
  if (numUpdatedRows === 0n) throw unknownKey()
}

/** @throws {TollgateError} 409. */
export function refuseTooMany(keys: readonly Pick<UserKey, 'state'>[]): void {
  if (keys.filter(({ state }) => state === 'active').length < KEYS_MAX) return
  throw new TollgateError(409, 'too_many_keys', `You have ${KEYS_MAX} active keys. Revoke one first.`)
}

function grantable(caller: Caller, permission: string): Permission {
  if (!isPermission(permission)) {
    const message = `There is no permission ${JSON.stringify(permission.slice(0, 100))}. docs/identity.md lists them.`
    throw new TollgateError(422, 'invalid_request', message, { param: 'permissions' })
  }
  if (can(caller, permission)) return permission
  const message = `You may not grant "${permission}": you do not have it yourself.`
  throw new TollgateError(403, 'permission_denied', message, { param: 'permissions' })
}

/** Each key is counted by itself: those it made would have its limits again, each of them. */
function limited(): TollgateError {
  const message = 'A key with limits of a minute of its own makes no keys. Sign in, or use a key without them.'
  return new TollgateError(403, 'permission_denied', message)
}

function noUser(): TollgateError {
  return new TollgateError(
    403,
    'permission_denied',
    'Keys are for members of an organization. Make this one with: tollgate key create',
  )
}

function unknownKey(): TollgateError {
  return new TollgateError(404, 'key_not_found', 'API key not found')
}
