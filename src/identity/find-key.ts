/** The callers behind hashes of keys, in one query. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { type Caller, NO_LIMITS, type OrganizationRole, type Role } from './caller.ts'

export interface KeyRecord {
  caller: Caller
  isActive: boolean
  expiresAt: Date | null
  organizationStatus: 'active' | 'suspended' | 'deleted'
}

export const DEFAULT_ORGANIZATION = 'default'

const CURRENT = ['active', 'trialing'] as const

/** By the key's name; those that are nobody's are left out. */
export type FoundKeys = ReadonlyMap<string, KeyRecord>

/** A hash as the name of what is remembered of its key. */
export function nameOf(hash: Buffer): string {
  return hash.toString('base64')
}

export async function findKeys(database: Database, hashes: readonly Buffer[]): Promise<FoundKeys> {
  const rows = await database.query
    .selectFrom('tollgate.api_keys as k')
    .innerJoin('organizations as o', 'o.id', 'k.org_id')
    .leftJoin('organization_members as m', (join) =>
      join.onRef('m.org_id', '=', 'k.org_id').onRef('m.user_id', '=', 'k.user_id'),
    )
    .leftJoin('organization_subscriptions as s', 's.org_id', 'k.org_id')
    .distinctOn('k.id')
    .select([
      'k.id',
      'k.key_hash',
      'k.org_id',
      'k.user_id',
      'k.name as key_name',
      'k.is_active',
      'k.expires_at',
      'o.name',
      'o.status',
      'm.role',
      's.subscription_plan',
      's.status as plan_status',
    ])
    .where('k.key_hash', '=', sql<Buffer>`any(${hashes}::bytea[])`)
    // The one that counts is the one in force, else the last there was.
    .orderBy('k.id')
    .orderBy(
      (expression) => expression('s.status', 'in', CURRENT),
      (order) => order.desc().nullsLast(),
    )
    .orderBy('s.created_at', 'desc')
    .execute()
  return new Map(rows.map((row) => [nameOf(row.key_hash), recordOf(row)]))
}

interface KeyRow {
  id: string
  org_id: string
  user_id: string
  key_name: string | null
  is_active: boolean
  expires_at: Date | null
  name: string
  status: KeyRecord['organizationStatus']
  role: OrganizationRole | null
  subscription_plan: Caller['plan']
  plan_status: string | null
}

function recordOf(row: KeyRow): KeyRecord {
  const isCurrent = CURRENT.some((status) => status === row.plan_status)
  // Whoever brings own keys asked not to be served by the operator's: that does not end with the plan.
  // Whoever holds a key of an organization acts in it, whether or not a row says that they belong to it.
  const role = row.role ?? 'member'
  const plan = isCurrent || row.subscription_plan === 'byok' ? row.subscription_plan : null
  return {
    isActive: row.is_active,
    expiresAt: row.expires_at,
    organizationStatus: row.status,
    caller: {
      organizationId: row.org_id,
      userId: row.user_id,
      email: null,
      credential: { kind: 'api_key', id: row.id, name: row.key_name },
      keyId: row.id,
      role,
      memberships: new Map<string, Role>([[row.org_id, role]]),
      scopes: null,
      models: null,
      routes: null,
      limits: NO_LIMITS,
      plan,
      planEnded: plan === null || isCurrent ? null : row.plan_status,
      isDefaultOrganization: row.name === DEFAULT_ORGANIZATION,
    },
  }
}
