/**
 * The customer a call is made for: whom the request names as `user`, or in a header, where the organization gave them a budget or bounds.
 * Remembered for a second, as everything that is known of callers. Fails closed: a customer who can't be looked up is a 503.
 */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import type { Caller } from './caller.ts'
import { createRemembered } from './remembered.ts'
import { type Spender, type SpenderRow, spendersOf } from './spender.ts'

const REMEMBERED_MAX = 100_000
/** As the column has it: nobody with a longer name has a row. */
const NAME_MAX = 255

/** Null: nobody the organization knows. A promise only where something has to be looked up. @throws {TollgateError} 503. */
export type FindCustomer = (caller: Caller, name: string) => Promise<Spender | null> | null

export function createFindCustomer(database: Database, now: () => number): FindCustomer {
  const remembered = createRemembered<Spender | null>({ max: REMEMBERED_MAX, now })
  return ({ organizationId, hasCustomers }, name) => {
    if (!hasCustomers || name.length > NAME_MAX || name.includes('\0')) return null
    const load = () => find(database, organizationId, name)
    return remembered(`${organizationId} ${name}`, load).catch((cause: unknown) => {
      const message = 'The customer could not be looked up because the database is not available. Try again shortly.'
      throw new TollgateError(503, 'identity_unavailable', message, { headers: { 'Retry-After': '2' }, cause })
    })
  }
}

async function find(database: Database, organizationId: string, name: string): Promise<Spender | null> {
  const { rows } = await sql<{ row: SpenderRow }>`
    select tollgate.spender_view(s) as row from tollgate.spender_terms s
    where s.org_id = ${organizationId} and s.kind = 'customer' and s.name = ${name.toWellFormed()}`.execute(
    database.query,
  )
  return spendersOf(rows.map(({ row }) => row))[0] ?? null
}
