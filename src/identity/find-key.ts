/** The principals behind hashes of keys, in one query. */
import { sql } from 'kysely'
import type { KeyLimits } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import type { CredentialKind } from './caller.ts'
import { isPermission, type Permission } from './permission-table.ts'
import type { Principal } from './principal.ts'
import { type SpenderRow, spendersOf } from './spender.ts'
import { type Standing, type StandingRow, SUBSCRIPTION, standingColumns, standingOf } from './standing.ts'

export interface KeyRecord {
  principal: Principal
  isActive: boolean
  expiresAt: Date | null
}

/** By the key's name. Keys that do not exist are left out. */
export type FoundKeys = ReadonlyMap<string, KeyRecord>

/** A hash as the name of what is remembered of its key. */
export function nameOf(hash: Buffer): string {
  return hash.toString('base64')
}

interface KeyRow extends StandingRow {
  id: string
  key_hash: Buffer
  kind: Extract<CredentialKind, 'api_key' | 'virtual_key' | 'service_key'>
  name: string | null
  user_id: string
  is_active: boolean
  expires_at: Date | null
  scopes: string[] | null
  models: string[] | null
  routes: string[] | null
  act_as: 'none' | 'members'
  requests_per_minute: number | null
  tokens_per_minute: string | null
  calls_at_once: number | null
  key_spenders: SpenderRow[] | null
}

/** A row for each organization a key acts in: its own first, then, where it follows its user, theirs. */
export async function findKeys(database: Database, hashes: readonly Buffer[]): Promise<FoundKeys> {
  const { rows } = await sql<KeyRow>`
    select k.id, k.key_hash, k.kind, k.name, k.user_id, k.is_active, k.expires_at, k.scopes, k.models, k.routes, k.act_as,
      k.requests_per_minute, k.tokens_per_minute, k.calls_at_once, ${standingColumns(sql`k.user_id`)},
      case when k.kind = 'virtual_key' then tollgate.spenders_of_key(k.org_id, k.id) end as key_spenders
    from tollgate.api_keys k
    cross join lateral (
      select k.org_id
      union
      select m.org_id from organization_members m where k.all_organizations and m.user_id = k.user_id) t
    join organizations o on o.id = t.org_id
    left join organization_members m on m.org_id = o.id and m.user_id = k.user_id
    ${SUBSCRIPTION}
    where k.key_hash = any(${hashes}::bytea[])
    order by k.id, (o.id = k.org_id) desc, o.id`.execute(database.query)
  const found = new Map<string, KeyRow[]>()
  for (const row of rows) {
    const name = nameOf(row.key_hash)
    const known = found.get(name)
    if (known === undefined) found.set(name, [row])
    else known.push(row)
  }
  return new Map([...found].map(([name, ofKey]) => [name, recordOf(ofKey)]))
}

/** Of the same key, at least one. */
function recordOf(rows: readonly KeyRow[]): KeyRecord {
  const [row] = rows as readonly [KeyRow]
  const spenders = spendersOf(row.key_spenders)
  return {
    isActive: row.is_active,
    expiresAt: row.expires_at,
    principal: {
      userId: row.user_id,
      email: null,
      credential: { kind: row.kind, id: row.id, name: row.name },
      keyId: row.id,
      isSystemAdmin: false,
      standings: rows.map((one) => standingWith(row.kind, standingOf(one))),
      scopes: row.kind === 'virtual_key' ? VIRTUAL_KEY_SCOPES : scopesOf(row.scopes),
      // Of a virtual key, what its own row says.
      models: spenders.find(({ kind }) => kind === 'key')?.models ?? row.models,
      routes: row.routes,
      limits: spenders.find(({ kind }) => kind === 'key')?.limits ?? limitsOf(row),
      spenders,
      actAs: row.act_as,
      callers: new Map(),
    },
  }
}

function limitsOf(row: KeyRow): KeyLimits {
  return {
    requestsPerMinute: row.requests_per_minute,
    tokensPerMinute: row.tokens_per_minute === null ? null : Number(row.tokens_per_minute),
    callsAtOnce: row.calls_at_once,
  }
}

/** Whoever has a virtual key calls models and sees what that cost, whatever its user may do: it changes no budget, its own neither. */
const VIRTUAL_KEY_SCOPES: ReadonlySet<Permission> = new Set<Permission>([
  'llm:inference',
  'llm:models',
  'credits:read_own',
  'calls:read_own',
  'virtual_keys:read_own',
])

function standingWith(kind: KeyRow['kind'], standing: Standing): Standing {
  if (kind === 'service_key') return asService(standing)
  return kind === 'virtual_key' ? { ...standing, role: 'member' } : standing
}

/** A service is no member. */
export function asService(standing: Standing): Standing {
  return { ...standing, role: 'service' }
}

/** A scope that this version does not know allows nothing. */
function scopesOf(scopes: readonly string[] | null): ReadonlySet<Permission> | null {
  return scopes === null ? null : new Set(scopes.filter(isPermission))
}
