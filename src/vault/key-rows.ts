/** The rows of sealed keys: one table for each kind of owner, one shape here. */
import { type RawBuilder, sql, type Transaction } from 'kysely'
import { type Database, sqlState } from '../db/connect.ts'
import type { Tables } from '../db/tables.ts'
import { isUuid } from '../db/uuid.ts'
import { TollgateError } from '../http/errors.ts'
import { type KeyOwner, type KeyProvider, providerOf, storedName, subjectOf } from './key-owner.ts'

export interface KeyRow {
  id: string
  owner: KeyOwner
  provider: KeyProvider
  /** Sealed, or a Fernet token; never empty. */
  sealed: string
  enabled: boolean
  metadata: unknown
  createdAt: Date
  updatedAt: Date
}

interface RawRow {
  id: string
  owner_id: string
  provider: string
  sealed: string
  enabled: boolean | null
  metadata: unknown
  created_at: Date
  updated_at: Date
}

type Kind = KeyOwner['kind']
type Runner = Database['query'] | Transaction<Tables>

export const KINDS: readonly Kind[] = ['platform', 'organization', 'user']

/** Further conditions go behind it. Ops-Center's own tables may not know when a row was written. */
const SELECT: Readonly<Record<Kind, RawBuilder<RawRow>>> = {
  platform: sql`select key as id, '' as owner_id, key as provider, value as sealed, enabled, '{}'::jsonb as metadata,
    coalesce(updated_at, 'epoch') as created_at, coalesce(updated_at, 'epoch') as updated_at
    from platform_settings where category = 'api_keys' and value <> ''`,
  organization: sql`select id::text, org_id::text as owner_id, provider, api_key_encrypted as sealed, enabled, metadata,
    created_at, updated_at from tollgate.organization_provider_keys where api_key_encrypted <> ''`,
  user: sql`select id::text, user_id as owner_id, provider, api_key_encrypted as sealed, enabled, metadata,
    coalesce(created_at, updated_at, 'epoch') as created_at, coalesce(updated_at, created_at, 'epoch') as updated_at
    from user_provider_keys where api_key_encrypted <> ''`,
}
const TABLE: Readonly<Record<Kind, RawBuilder<unknown>>> = {
  platform: sql`platform_settings`,
  organization: sql`organization_provider_keys`,
  user: sql`user_provider_keys`,
}
const VALUE: Readonly<Record<Kind, RawBuilder<unknown>>> = {
  platform: sql`value`,
  organization: sql`api_key_encrypted`,
  user: sql`api_key_encrypted`,
}

/** Nobody can have a row under an id that its column can't hold. */
export function canOwn(owner: KeyOwner): boolean {
  if (owner.kind === 'platform') return true
  return owner.kind === 'organization' ? isUuid(owner.id) : owner.id.length <= 255 && !owner.id.includes('\0')
}

export async function findKeyRow(runner: Runner, provider: KeyProvider, owner: KeyOwner): Promise<KeyRow | null> {
  const { rows } = await sql<RawRow>`${SELECT[owner.kind]} and ${isRow(provider, owner)}`.execute(runner)
  return rows[0] === undefined ? null : keyRow(rows[0], owner.kind)
}

export async function listKeyRows(runner: Runner, owner: KeyOwner): Promise<KeyRow[]> {
  const { rows } = await sql<RawRow>`${SELECT[owner.kind]} and ${isOwner(owner)} order by 3`.execute(runner)
  return rows.flatMap((row) => keyRow(row, owner.kind) ?? [])
}

/** A page of every owner's keys of one kind, by id. */
export async function pageOfKeyRows(runner: Runner, kind: Kind, like: string, after: string, size: number) {
  const id = kind === 'platform' ? sql`key` : sql`id::text`
  const { rows } = await sql<RawRow>`${SELECT[kind]} and ${VALUE[kind]} like ${like} and ${id} collate "C" > ${after}
    order by ${id} collate "C" limit ${size}`.execute(runner)
  return { rows: rows.flatMap((row) => keyRow(row, kind) ?? []), last: rows.at(-1)?.id ?? null }
}

/** Makes or replaces the owner's key and switches it on. @throws {TollgateError} 404 where there is no such organization. */
export async function upsertKeyRow(
  runner: Runner,
  { provider, owner, sealed, metadata }: Pick<KeyRow, 'provider' | 'owner' | 'sealed' | 'metadata'>,
): Promise<void> {
  const name = storedName(provider, owner.kind)
  if (owner.kind === 'platform') {
    await sql`insert into platform_settings (key, value, category, is_secret, updated_at)
      values (${name}, ${sealed}, 'api_keys', true, tollgate.tollgate_now())
      on conflict (key) where category = 'api_keys' do update set value = excluded.value, category = excluded.category, is_secret = true, enabled = true,
        updated_at = excluded.updated_at`.execute(runner)
    return
  }
  const column = owner.kind === 'user' ? sql`user_id` : sql`org_id`
  const json = JSON.stringify(metadata ?? {})
  try {
    await sql`insert into ${TABLE[owner.kind]} as k (${column}, provider, api_key_encrypted, metadata, updated_at)
      values (${owner.id}, ${name}, ${sealed}, ${json}::jsonb, tollgate.tollgate_now())
      on conflict (${column}, provider) do update set api_key_encrypted = excluded.api_key_encrypted, enabled = true,
        metadata = excluded.metadata, updated_at = excluded.updated_at`.execute(runner)
  } catch (error) {
    if (sqlState(error) !== '23503') throw error
    throw new TollgateError(404, 'organization_not_found', 'There is no such organization.', { cause: error })
  }
}

/** Writes only where the row still holds `was`. Returns whether it did. */
export async function replaceSealed(runner: Runner, { provider, owner, sealed: was }: KeyRow, sealed: string) {
  const value = VALUE[owner.kind]
  const { numAffectedRows } = await sql`update ${TABLE[owner.kind]} set ${value} = ${sealed}
    where ${isRow(provider, owner)} and ${value} = ${was}`.execute(runner)
  return numAffectedRows === 1n
}

export async function setRowEnabled(runner: Runner, provider: KeyProvider, owner: KeyOwner, enabled: boolean) {
  const { numAffectedRows } =
    await sql`update ${TABLE[owner.kind]} set enabled = ${enabled}, updated_at = tollgate.tollgate_now()
    where ${isRow(provider, owner)}`.execute(runner)
  return numAffectedRows === 1n
}

export async function deleteKeyRow(runner: Runner, provider: KeyProvider, owner: KeyOwner): Promise<boolean> {
  const { numAffectedRows } = await sql`delete from ${TABLE[owner.kind]} where ${isRow(provider, owner)}`.execute(
    runner,
  )
  return numAffectedRows === 1n
}

/** Who changed each key last, by subject. */
export async function lastActors(runner: Runner, subjects: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await sql<{
    subject: string
    actor: string
  }>`select distinct on (subject) subject, actor from tollgate.audit_log
    where subject = any(${subjects}) order by subject, id desc`.execute(runner)
  return new Map(rows.map(({ subject, actor }) => [subject, actor]))
}

function isRow(provider: KeyProvider, owner: KeyOwner): RawBuilder<unknown> {
  const name = storedName(provider, owner.kind)
  return owner.kind === 'platform'
    ? sql`key = ${name} and category = 'api_keys'`
    : sql`${isOwner(owner)} and provider = ${name}`
}

function isOwner(owner: KeyOwner): RawBuilder<unknown> {
  if (owner.kind === 'platform') return sql`true`
  return owner.kind === 'user' ? sql`user_id = ${owner.id}` : sql`org_id = ${owner.id}::uuid`
}

/** Null for a provider that is not called from here. */
function keyRow(row: RawRow, kind: Kind): KeyRow | null {
  const provider = providerOf(row.provider, kind)
  if (provider === null) return null
  const owner: KeyOwner = kind === 'platform' ? { kind } : { kind, id: row.owner_id }
  const { id, sealed, metadata, created_at: createdAt, updated_at: updatedAt } = row
  return { id, owner, provider, sealed, enabled: row.enabled !== false, metadata, createdAt, updatedAt }
}

export function subjectOfRow({ provider, owner }: Pick<KeyRow, 'provider' | 'owner'>): string {
  return subjectOf(provider, owner)
}
