/** Members of teams: each may have a budget within the team's. */
import { sql } from 'kysely'
import type { Database } from '../../db/connect.ts'
import { TollgateError } from '../../http/errors.ts'
import type { SpenderRow } from './rows.ts'
import { changeRow, deleteRow, insertRow, selectRows } from './rows.ts'
import type { Settings } from './settings.ts'

export interface TeamMember {
  userId: string
  role: string
  /** Empty: only the team's. */
  settings: Settings
}

export function membersOf(database: Database, team: SpenderRow): Promise<SpenderRow[]> {
  return selectRows(database, sql`s.org_id = ${team.org_id} and s.kind = 'team_member' and s.team = ${team.name}`)
}

/** Whoever is a member already has the new role and budget. All or none. */
export async function addMembers(
  database: Database,
  team: SpenderRow,
  members: readonly TeamMember[],
  by: string,
): Promise<void> {
  await database.query.transaction().execute(async (transaction) => {
    for (const { userId, role, settings } of members) {
      const { rows } = await sql<{ id: string; org_id: string }>`
        select id, org_id from tollgate.spenders
        where org_id = ${team.org_id} and kind = 'team_member' and team = ${team.name} and user_id = ${userId}`.execute(
        transaction,
      )
      const asked = { ...settings, more: { role } }
      const [known] = rows
      if (known !== undefined) await changeRow(transaction, known, { settings: asked })
      else
        await insertRow(transaction, {
          ...{ organizationId: team.org_id, kind: 'team_member', name: JSON.stringify([team.name, userId]), userId },
          ...{ team: team.name, settings: asked, by },
        })
    }
  })
}

/** @throws {TollgateError} 404. */
export async function removeMember(database: Database, team: SpenderRow, userId: string): Promise<void> {
  await database.query.transaction().execute(async (transaction) => {
    const { rows } = await sql<{ id: string }>`
      select id from tollgate.spenders
      where org_id = ${team.org_id} and kind = 'team_member' and team = ${team.name} and user_id = ${userId} for update`.execute(
      transaction,
    )
    const [member] = rows
    if (member === undefined)
      throw new TollgateError(404, 'member_not_found', '"user_id" names no member of this team.', { param: 'user_id' })
    // A key of who left must not spend on without the member's budget.
    await sql`
      update tollgate.api_keys k set is_active = false from tollgate.spenders s
      where s.org_id = ${team.org_id} and s.kind = 'key' and s.team = ${team.name} and s.user_id = ${userId} and k.id = s.id`.execute(
      transaction,
    )
    await sql`
      delete from tollgate.spenders
      where org_id = ${team.org_id} and kind = 'key' and team = ${team.name} and user_id = ${userId}`.execute(
      transaction,
    )
    await deleteRow(transaction, member.id)
  })
}
