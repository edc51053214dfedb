/**
 * Virtual keys, in LiteLLM's form: each has budgets, rates and lists of its own. A key is shown once, stored as its SHA-256, good
 * everywhere within a second, and refused everywhere a second after it is blocked, deleted or made anew.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { type RawBuilder, sql, type Transaction } from 'kysely'
import { readDuration } from '../../config/duration.ts'
import type { Database } from '../../db/connect.ts'
import { sqlState } from '../../db/connect.ts'
import type { Tables } from '../../db/tables.ts'
import { TollgateError } from '../../http/errors.ts'
import { hashKey, mayBeChosen } from '../../identity/api-key.ts'
import type { Caller } from '../../identity/caller.ts'
import { mayCallModel } from '../../identity/restrictions.ts'
import { type Change, changing } from '../../vault/audit-log.ts'
import { ensurePayer, type Place, within } from './place.ts'
import { changeRow, deleteRow, insertRow, type RowChange, type SpenderRow, selectRows } from './rows.ts'
import type { Settings } from './settings.ts'

export interface NewVirtualKey {
  /** Null: one is made up. */
  key: string | null
  alias: string | null
  /** How long it is good; null: until it is deleted. */
  duration: string | null
  userId: string | null
  team: string | null
  budget: string | null
  routes: readonly string[] | null
  isBlocked: boolean
  settings: Settings
}

export interface MadeKey {
  /** Shown only once. */
  key: string
  row: SpenderRow
}

/** @throws {TollgateError} 400, 403, 404, 409. */
export async function makeVirtualKey(
  database: Database,
  caller: Caller,
  place: Place,
  asked: NewVirtualKey,
  change: Change,
): Promise<MadeKey> {
  const settings = restricted(caller, asked.settings)
  const key = asked.key ?? newKey()
  requireForm(key)
  const id = randomUUID()
  const payer = asked.userId ?? (place.isBudgeted ? `key/${id}` : ownUser(caller, place))
  await changing(database, change, 'key.saved', async (transaction) => {
    await ensurePayer(transaction, place, payer, caller)
    if (asked.team !== null) await requireTeam(transaction, place.id, asked.team)
    await requireFreeAlias(transaction, place.id, asked.alias, id)
    await insertKey(transaction, { id, key, place, payer, asked: { ...asked, settings }, caller, by: change.actor })
    const { userId, team, budget, isBlocked } = asked
    await insertRow(transaction, {
      ...{ id, organizationId: place.id, kind: 'key', name: id, userId, team, budget, isBlocked, settings },
      by: change.actor,
    })
  })
  return { key, row: await rowOf(database, id) }
}

interface StoredKey {
  id: string
  key: string
  place: Place
  payer: string
  asked: NewVirtualKey
  caller: Caller
  by: string
}

async function insertKey(transaction: Transaction<Tables>, stored: StoredKey): Promise<void> {
  const { id, key, place, payer, asked, caller, by } = stored
  const routes = asked.routes ?? caller.routes
  try {
    await sql`
      insert into tollgate.api_keys (id, kind, key_hash, preview, name, org_id, user_id, is_active, expires_at, created_by, models, routes)
      values (${id}, 'virtual_key', ${hashKey(key)}, ${previewOf(key)}, ${asked.alias}, ${place.id}, ${payer}, ${!asked.isBlocked},
        ${expiry(asked.duration)}, ${by.slice(0, 255)}, null, ${routes === null ? null : [...routes]})`.execute(
      transaction,
    )
  } catch (error) {
    if (sqlState(error) !== '23505') throw error
    throw new TollgateError(409, 'already_exists', 'This "key" exists already. Send another, or leave it out.', {
      param: 'key',
      cause: error,
    })
  }
}

export interface KeyChange extends RowChange {
  /** Left out: as it is. */
  alias?: string | null | undefined
  duration?: string | null | undefined
  routes?: readonly string[] | null | undefined
}

/** @throws {TollgateError} 400, 403, 404, 409. */
export async function changeVirtualKey(
  database: Database,
  caller: Caller,
  row: SpenderRow,
  asked: KeyChange,
  change: Change,
): Promise<SpenderRow> {
  await changing(database, change, 'key.saved', (transaction) => changeKey(transaction, caller, row, asked))
  return rowOf(database, row.id)
}

async function changeKey(
  transaction: Transaction<Tables>,
  caller: Caller,
  row: SpenderRow,
  asked: KeyChange,
): Promise<void> {
  const { alias, duration, routes, ...rest } = asked
  if (rest.settings.models !== undefined && caller.models !== null)
    rest.settings.models = restricted(caller, { models: rest.settings.models ?? [] }).models ?? null
  if (alias !== undefined) await requireFreeAlias(transaction, row.org_id, alias, row.id)
  if (rest.team != null) await requireTeam(transaction, row.org_id, rest.team)
  await sql`
    update tollgate.api_keys set
      name = ${alias === undefined ? sql`name` : alias},
      expires_at = ${duration === undefined ? sql`expires_at` : expiry(duration)},
      routes = ${routes === undefined ? sql`routes` : routes === null ? null : [...routes]},
      is_active = ${rest.isBlocked === undefined ? sql`is_active` : !rest.isBlocked}
    where id = ${row.id}`.execute(transaction)
  await changeRow(transaction, row, rest)
}

/** The same key with another text; the old one is refused everywhere within a second. @throws {TollgateError} 400, 404, 409. */
export async function remakeVirtualKey(
  database: Database,
  caller: Caller,
  row: SpenderRow,
  asked: { key: string | null; change: KeyChange },
  change: Change,
): Promise<MadeKey> {
  const key = asked.key ?? newKey()
  requireForm(key)
  await changing(database, change, 'key.saved', async (transaction) => {
    await changeKey(transaction, caller, row, asked.change)
    await sql`update tollgate.api_keys set key_hash = ${hashKey(key)}, preview = ${previewOf(key)} where id = ${row.id}`.execute(
      transaction,
    )
  })
  return { key, row: await rowOf(database, row.id) }
}

/** All or none. What they spent stays in the books. */
export async function deleteVirtualKeys(
  database: Database,
  rows: readonly SpenderRow[],
  change: Change,
): Promise<void> {
  await changing(database, change, 'key.saved', async (transaction) => {
    for (const { id } of rows) {
      await sql`update tollgate.api_keys set is_active = false where id = ${id}`.execute(transaction)
      await deleteRow(transaction, id)
    }
  })
}

/** @param reference a key or its hash. @throws {TollgateError} 404, also for one of an organization the caller does not belong to. */
export async function findVirtualKey(database: Database, caller: Caller, reference: string): Promise<SpenderRow> {
  const [row] = await selectRows(
    database,
    sql`${within(caller)} and s.kind = 'key' and k.key_hash = ${hashOf(reference)}`,
  )
  if (row === undefined) throw unknownKey('key')
  return row
}

/** @throws {TollgateError} 404. */
export async function findByAlias(database: Database, caller: Caller, alias: string): Promise<SpenderRow> {
  const [row] = await selectRows(database, sql`${within(caller)} and s.kind = 'key' and k.name = ${alias}`)
  if (row === undefined) throw unknownKey('key_aliases')
  return row
}

/** The caller's own. @throws {TollgateError} 404 where the caller has none. */
export async function ownVirtualKey(database: Database, caller: Caller): Promise<SpenderRow> {
  const [row] =
    caller.credential.kind === 'virtual_key'
      ? await selectRows(database, sql`s.kind = 'key' and s.id = ${caller.credential.id}`)
      : []
  if (row === undefined)
    throw new TollgateError(404, 'key_not_found', 'Your credential is no virtual key. Name one: /key/info?key=sk-...', {
      param: 'key',
    })
  return row
}

export function hashOf(reference: string): Buffer {
  return /^[0-9a-f]{64}$/.test(reference) ? Buffer.from(reference, 'hex') : hashKey(reference)
}

async function rowOf(database: Database, id: string): Promise<SpenderRow> {
  const [row] = await selectRows(database, sql`s.id = ${id}`)
  if (row === undefined) throw unknownKey('key')
  return row
}

/** A key may never do more than the credential that makes it. @throws {TollgateError} 403. */
function restricted(caller: Caller, settings: Settings): Settings {
  const { models = [] } = settings
  if (caller.models === null) return settings
  if (models.length === 0) return { ...settings, models: [...caller.models] }
  const beyond = models.find((model) => !mayCallModel(caller, model))
  if (beyond === undefined) return settings
  throw new TollgateError(
    403,
    'model_not_allowed',
    'You may not call one of these "models" yourself, so a key of yours may not.',
    {
      param: 'models',
    },
  )
}

function newKey(): string {
  return `sk-${randomBytes(24).toString('base64url')}`
}

function previewOf(key: string): string {
  return `sk-...${key.slice(-4)}`
}

function requireForm(key: string): void {
  if (mayBeChosen(key)) return
  throw new TollgateError(
    400,
    'invalid_request',
    '"key" must be sk- and 20 to 253 letters, digits, - or _, that nobody can guess. Leave it out to have one made.',
    { param: 'key' },
  )
}

/** Who pays where the credits of an organization were bought. @throws {TollgateError} 400. */
function ownUser(caller: Caller, place: Place): string {
  if (caller.memberships.has(place.id) && caller.role !== 'system_admin') return caller.userId
  throw new TollgateError(
    400,
    'invalid_request',
    '"user_id" must be the id of the member of the organization who pays.',
    {
      param: 'user_id',
    },
  )
}

function expiry(duration: string | null): RawBuilder<unknown> {
  if (duration === null) return sql`null`
  const { seconds, months } = readDuration(duration) ?? { seconds: 0, months: 0 }
  return sql`tollgate.tollgate_now() + make_interval(months => ${months}::int, secs => ${seconds}::double precision)`
}

async function requireTeam(transaction: Transaction<Tables>, organizationId: string, team: string): Promise<void> {
  const { rows } = await sql`
    select from tollgate.spenders where org_id = ${organizationId} and kind = 'team' and name = ${team} for share`.execute(
    transaction,
  )
  if (rows.length > 0) return
  throw new TollgateError(
    404,
    'team_not_found',
    '"team_id" names no team of this organization. Make it with /team/new.',
    {
      param: 'team_id',
    },
  )
}

/** The organization stands for its aliases, so that two keys of one alias can't be made at once. */
async function requireFreeAlias(
  transaction: Transaction<Tables>,
  organizationId: string,
  alias: string | null,
  id: string,
): Promise<void> {
  if (alias === null) return
  await sql`select pg_advisory_xact_lock(hashtextextended(${`key aliases ${organizationId}`}, 0))`.execute(transaction)
  const { rows } = await sql`
    select from tollgate.spenders s join tollgate.api_keys k on k.id = s.id
    where s.org_id = ${organizationId} and s.kind = 'key' and k.name = ${alias} and s.id <> ${id} limit 1`.execute(
    transaction,
  )
  if (rows.length === 0) return
  throw new TollgateError(400, 'already_exists', 'Another key has this "key_alias". Choose one that no key has.', {
    param: 'key_alias',
  })
}

function unknownKey(param: string): TollgateError {
  return new TollgateError(404, 'key_not_found', 'There is no such virtual key among those you may see.', { param })
}
