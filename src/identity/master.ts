/** The master key's principal: system administrator, spending in the organization `default` as the user `admin`. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { NO_LIMITS } from './no-limits.ts'
import type { Principal } from './principal.ts'
import { NO_SPENDERS } from './spender.ts'
import { DEFAULT_ORGANIZATION, findStanding, UNLIMITED } from './standing.ts'

const MASTER_USER = 'admin'

/** Makes the allocation the master key spends from, once. @throws when the database can't respond. */
export async function findMaster(database: Database): Promise<Principal> {
  const standing = await findStanding(database, DEFAULT_ORGANIZATION, MASTER_USER)
  if (standing === null) throw new Error(`the organization ${DEFAULT_ORGANIZATION} is missing`)
  const allocation = await database.query
    .selectFrom('user_credit_allocations')
    .select('id')
    .where('org_id', '=', standing.organizationId)
    .where('user_id', '=', MASTER_USER)
    .executeTakeFirst()
  if (allocation === undefined) {
    await sql`select allocate_credits_to_user(${standing.organizationId}, ${MASTER_USER}, 0, 'tollgate')`.execute(
      database.query,
    )
  }
  return {
    userId: MASTER_USER,
    email: null,
    credential: { kind: 'master_key', id: null, name: null },
    keyId: null,
    isSystemAdmin: true,
    // Made once, so whether there are customers is not known of it.
    standings: [{ ...standing, plan: null, planEnded: null, tier: UNLIMITED, hasCustomers: true }],
    scopes: null,
    models: null,
    routes: null,
    limits: NO_LIMITS,
    spenders: NO_SPENDERS,
    actAs: 'none',
    callers: new Map(),
  }
}
