/**
 * Keys of services as rows: made, rotated with a time in which both keys are good, revoked, listed. Each change leaves an entry in the
 * audit log in the same transaction. A key is shown once, when it is made.
 */
import { sql, type Transaction } from 'kysely'
import type { KeyLimits } from '../config/config.ts'
import { type Database, sqlState } from '../db/connect.ts'
import type { Tables } from '../db/tables.ts'
import { TollgateError } from '../http/errors.ts'
import { newApiKey } from '../identity/api-key.ts'
import { type Change, changing } from '../vault/audit-log.ts'
import { ensureServiceUser } from './service-user.ts'

export interface NewServiceKey {
  name: string
  /** Name or id; one that is named and missing is made. */
  organization: string
  user: string
  actAs: 'none' | 'members'
  /** Names or patterns; null: all. */
  models: readonly string[] | null
  routes: readonly string[]
  limits: KeyLimits
  expiresAt: Date | null
}

export interface ServiceKeyView {
  id: string
  name: string
  key_preview: string
  /** `replaced`: rotated, and good until `expires_at`. */
  state: 'active' | 'replaced' | 'expired' | 'revoked'
  organization: string
  organization_id: string
  user: string
  act_as: 'none' | 'members'
  models: string[] | null
  routes: string[] | null
  /** Its own limits; null: only those of everybody. */
  requests_per_minute: number | null
  tokens_per_minute: number | null
  calls_at_once: number | null
  created_at: Date
  expires_at: Date | null
}

export interface MadeServiceKey extends ServiceKeyView {
  /** Shown only once. */
  key: string
}

const VIEW = sql`k.id, k.name, k.preview as key_preview,
  case when not k.is_active then 'revoked' when k.expires_at <= tollgate.tollgate_now() then 'expired'
    when k.replaced_at is not null then 'replaced' else 'active' end as state,
  o.name as organization, k.org_id as organization_id, k.user_id as user, k.act_as, k.models, k.routes,
  k.requests_per_minute, k.tokens_per_minute::double precision as tokens_per_minute, k.calls_at_once, k.created_at, k.expires_at`

/** By name, the current key of each first. */
export async function listServiceKeys(database: Database): Promise<ServiceKeyView[]> {
  const { rows } = await sql<ServiceKeyView>`
    select ${VIEW} from tollgate.api_keys k join organizations o on o.id = k.org_id
    where k.kind = 'service_key' order by k.name, k.created_at desc, k.id`.execute(database.query)
  return rows
}

/** @throws {TollgateError} 404, 409 where a service of that name has a key. */
export async function createServiceKey(database: Database, key: NewServiceKey, by: Change): Promise<MadeServiceKey> {
  const { organization } = await ensureServiceUser(database, key.organization, key.user)
  const { name, user, actAs, models, routes, limits, expiresAt } = key
  try {
    return await changing(database, by, 'key.saved', (transaction) =>
      insert(transaction, {
        name,
        org_id: organization.id,
        user_id: user,
        act_as: actAs,
        models: models === null ? null : [...models],
        routes: [...routes],
        requests_per_minute: limits.requestsPerMinute,
        tokens_per_minute: limits.tokensPerMinute?.toString() ?? null,
        calls_at_once: limits.callsAtOnce,
        expires_at: expiresAt,
        created_by: by.actor.slice(0, 255),
      }),
    )
  } catch (error) {
    if (sqlState(error) !== '23505') throw error
    throw new TollgateError(
      409,
      'service_key_exists',
      `The service ${JSON.stringify(name)} has a key. Rotate it, or revoke it first.`,
      { cause: error },
    )
  }
}

/**
 * A new key with all the old one may do. The old one is good for `overlapSeconds` more, and is not prolonged where it ends sooner.
 * @throws {TollgateError} 404.
 */
export function rotateServiceKey(
  database: Database,
  name: string,
  overlapSeconds: number,
  by: Change,
): Promise<MadeServiceKey> {
  return changing(database, by, 'key.saved', async (transaction) => {
    const { rows } = await sql<Copied>`
      update tollgate.api_keys set replaced_at = tollgate.tollgate_now(),
        expires_at = least(expires_at, tollgate.tollgate_now() + make_interval(secs => ${overlapSeconds}))
      where kind = 'service_key' and name = ${name} and is_active and replaced_at is null
      returning name, org_id, user_id, act_as, models, routes, scopes, requests_per_minute, tokens_per_minute,
        calls_at_once`.execute(transaction)
    const [old] = rows
    if (old === undefined) throw unknownService(name)
    return insert(transaction, { ...old, created_by: by.actor.slice(0, 255), expires_at: null })
  })
}

/** Every key of the service, those that were replaced too. Refused everywhere within a second. @throws {TollgateError} 404. */
export async function revokeServiceKey(
  database: Database,
  name: string,
  by: Change,
): Promise<{ name: string; revoked: number }> {
  const revoked = await changing(database, by, 'key.saved', async (transaction) => {
    const { numUpdatedRows } = await transaction
      .updateTable('tollgate.api_keys')
      .set({ is_active: false })
      .where('kind', '=', 'service_key')
      .where('name', '=', name)
      .where('is_active', '=', true)
      .executeTakeFirst()
    return Number(numUpdatedRows)
  })
  if (revoked === 0) throw unknownService(name)
  return { name, revoked }
}

interface Copied {
  name: string
  org_id: string
  user_id: string
  act_as: 'none' | 'members'
  models: string[] | null
  routes: string[] | null
  scopes?: string[] | null
  requests_per_minute: number | null
  tokens_per_minute: string | null
  calls_at_once: number | null
}

async function insert(
  transaction: Transaction<Tables>,
  row: Copied & { expires_at: Date | null; created_by: string },
): Promise<MadeServiceKey> {
  const { key, hash, preview } = newApiKey('sk-svc-')
  const { id } = await transaction
    .insertInto('tollgate.api_keys')
    .values({ ...row, kind: 'service_key', key_hash: hash, preview })
    .returning('id')
    .executeTakeFirstOrThrow()
  const { rows } = await sql<ServiceKeyView>`
    select ${VIEW} from tollgate.api_keys k join organizations o on o.id = k.org_id where k.id = ${id}`.execute(
    transaction,
  )
  const [view] = rows as [ServiceKeyView]
  return { ...view, key }
}

function unknownService(name: string): TollgateError {
  return new TollgateError(404, 'service_key_not_found', `There is no service ${JSON.stringify(name)} with a key.`)
}
