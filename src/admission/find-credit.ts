/**
 * Whether a caller has credits at all, for requests so large that it is asked before they are read. It refuses only what the hold would
 * refuse whatever the request says. Fails open: where the database does not tell, the hold decides.
 */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'

/** False: none, and it may still be that the call costs nothing. @throws {TollgateError} 402, 403. */
export type FindCredit = (caller: Caller, idempotencyKey: string | string[] | undefined) => Promise<boolean>

interface Row {
  isActive: boolean
  hasCredit: boolean
  isAnswered: boolean
}

export function createFindCredit(database: Database, hasFreeModel: boolean): FindCredit {
  return async (caller, idempotencyKey) => {
    const row = await read(database, caller, typeof idempotencyKey === 'string' ? idempotencyKey : null).catch(
      () => null,
    )
    // A response that was paid for is repeated.
    if (row === null || row.hasCredit || row.isAnswered) return true
    if (!row.isActive) throw noAllocation()
    const ownKeys = !caller.isDefaultOrganization && (caller.plan === 'byok' || caller.plan === 'hybrid')
    if (!ownKeys && !hasFreeModel) throw noCredits()
    return false
  }
}

/** What running calls hold may come back, and what a refresh or a reset that is due brings is not computed: both count as credit. */
async function read(database: Database, { organizationId, userId }: Caller, key: string | null): Promise<Row> {
  const { rows } = await sql<Row>`
    select coalesce(a.is_active, false) as "isActive",
      coalesce(a.is_active and (p.allow_overage
        or coalesce(a.next_reset_date <= tollgate.tollgate_now(), false)
        or coalesce(p.next_refresh_date <= tollgate.tollgate_now(), false)
        or least(a.allocated_credits - a.used_credits
          + case when a.follows_pool then p.total_credits - p.allocated_credits else 0 end,
          p.total_credits - p.used_credits) > 0), false) as "hasCredit",
      exists (select from tollgate.idempotency_keys k
        where k.org_id = ${organizationId} and k.user_id = ${userId} and k.key = ${key}) as "isAnswered"
    from (select) caller
    left join organization_credit_pools p on p.org_id = ${organizationId}
    left join user_credit_allocations a on a.org_id = p.org_id and a.user_id = ${userId}`.execute(database.query)
  return rows[0]!
}

function noCredits(): TollgateError {
  return new TollgateError(
    402,
    'insufficient_credits',
    'No credits are left, and without credits a request of more than 1 MB is not read. Ask an admin of your organization to allocate more.',
    { headers: { 'x-should-retry': 'false' }, fields: { required: '0.000001', available: '0' }, limit: 'no_credits' },
  )
}

function noAllocation(): TollgateError {
  return new TollgateError(
    403,
    'no_allocation',
    'No credit allocation found for this user in this organization. Ask an admin of the organization to allocate credits.',
    { limit: 'no_credits' },
  )
}
