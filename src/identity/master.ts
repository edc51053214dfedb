/** The master key's caller: system administrator, spending in the organization `default`. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { type Caller, NO_LIMITS } from './caller.ts'
import { DEFAULT_ORGANIZATION } from './find-key.ts'

const MASTER_USER = 'admin'

/** Makes the allocation the master key spends from, once. @throws when the database can't answer. */
export async function findMasterCaller(database: Database): Promise<Caller> {
  const organization = await database.query
    .selectFrom('organizations')
    .select('id')
    .where('name', '=', DEFAULT_ORGANIZATION)
    .executeTakeFirstOrThrow()
  const allocation = await database.query
    .selectFrom('user_credit_allocations')
    .select('id')
    .where('org_id', '=', organization.id)
    .where('user_id', '=', MASTER_USER)
    .executeTakeFirst()
  if (allocation === undefined) {
    await sql`select allocate_credits_to_user(${organization.id}, ${MASTER_USER}, 0, 'tollgate')`.execute(
      database.query,
    )
  }
  return {
    organizationId: organization.id,
    userId: MASTER_USER,
    email: null,
    credential: { kind: 'master_key', id: null, name: null },
    keyId: null,
    role: 'system_admin',
    memberships: new Map([[organization.id, 'system_admin']]),
    scopes: null,
    models: null,
    routes: null,
    limits: NO_LIMITS,
    plan: null,
    isDefaultOrganization: true,
  }
}
