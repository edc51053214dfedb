/** Users as LiteLLM's routes make them: whoever is named may spend, and has a budget over all keys that belong to no team. */
import type { Database } from '../../db/connect.ts'
import { actorOf, type Caller } from '../../identity/caller.ts'
import { join } from '../members.ts'
import { rowOf } from './named-rows.ts'
import { ensurePayer, type Place } from './place.ts'
import { insertRow, type NewRow, type SpenderRow } from './rows.ts'

/** In an organization that buys its credits the user becomes a member. @throws {TollgateError} 409. */
export async function makeUser(database: Database, caller: Caller, place: Place, row: NewRow): Promise<SpenderRow> {
  const id = await database.query.transaction().execute(async (transaction) => {
    const member = { organization: place.id, user: row.name, role: null, allocate: 0n }
    if (place.isBudgeted) await ensurePayer(transaction, place, row.name, caller)
    else await join(transaction, member, actorOf(caller).slice(0, 255))
    return insertRow(transaction, row)
  })
  return rowOf(database, id)
}
