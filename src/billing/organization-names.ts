/** What organizations are called. */
import type { Database } from '../db/connect.ts'

/** By id: as it is shown to people, else as it is named. Ids of no organization are left out. */
export async function findOrganizationNames({ query }: Database, ids: readonly string[]): Promise<Map<string, string>> {
  const rows = await query
    .selectFrom('organizations')
    .select(['id', 'name', 'display_name'])
    .where('id', 'in', [...new Set(ids)])
    .execute()
  return new Map(rows.map(({ id, name, display_name: shown }) => [id, shown ?? name]))
}
