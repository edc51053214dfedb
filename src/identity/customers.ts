/**
 * The customer a call is made for: whom the request names as `user`, or in a header, where the organization gave them a budget or bounds,
 * or where the operator bounds everybody (`max_end_user_budget`).
 * Remembered for a second, as everything that is known of callers. Fails closed: a customer who can't be looked up is a 503.
 */
import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import type { Caller } from './caller.ts'
import { NO_LIMITS } from './no-limits.ts'
import { createRemembered } from './remembered.ts'
import { type Spender, type SpenderRow, spendersOf } from './spender.ts'

const REMEMBERED_MAX = 100_000
/** As the column has it: nobody with a longer name has a row. */
const NAME_MAX = 255
/** A longer name, and one that can't be stored, is counted by its hash. */
const COUNTED_NAME_MAX = 200

/** Null: nobody who is bound. A promise only where something has to be looked up. @throws {TollgateError} 503. */
export type FindCustomer = (caller: Caller, name: string) => Promise<Spender | null> | null

/** @param defaultBudget binds who has no budget of their own, microcredits; null: nothing does. */
export function createFindCustomer(database: Database, defaultBudget: bigint | null, now: () => number): FindCustomer {
  const remembered = createRemembered<Spender | null>({ max: REMEMBERED_MAX, now })
  return ({ organizationId, hasCustomers }, name) => {
    const unknown = () => (defaultBudget === null ? null : newcomer(organizationId, name, defaultBudget))
    if (!hasCustomers || name.length > NAME_MAX || name.includes('\0')) {
      return defaultBudget === null ? null : Promise.resolve(unknown())
    }
    const load = async () => {
      const found = await find(database, organizationId, name)
      return found === null ? unknown() : { ...found, defaultBudget }
    }
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

/** Somebody the organization does not know: bound by the default alone. */
function newcomer(organizationId: string, name: string, defaultBudget: bigint): Spender {
  const isPlain = name.length <= COUNTED_NAME_MAX && !name.includes('\0')
  const counted = isPlain ? name.toWellFormed() : createHash('sha256').update(name).digest('hex')
  return {
    kind: 'customer',
    id: `${organizationId}/${counted}`,
    name,
    budgets: [],
    limits: NO_LIMITS,
    modelRates: [],
    models: null,
    isBlocked: false,
    aliases: {},
    tags: [],
    softBudget: null,
    defaultBudget,
  }
}
