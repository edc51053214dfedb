/** What stands here already of what LiteLLM has. */
import { sql } from 'kysely'
import type { Database } from '../../db/connect.ts'
import { DEFAULT_ORGANIZATION } from '../../identity/standing.ts'
import type { PlannedRow } from './plan.ts'

export interface Here {
  defaultId: string
  /** Ids of organizations by name. */
  names: ReadonlyMap<string, string>
  organizations: ReadonlySet<string>
  has(row: PlannedRow): boolean
  /** It was made by this command before, so that what was spent of it since counts. */
  isOurs(row: PlannedRow): boolean
  now: Date
}

export async function readHere({ query }: Database, actor: string): Promise<Here> {
  const organizations = await query.selectFrom('organizations').select(['id', 'name']).execute()
  const names = new Map(organizations.map(({ id, name }) => [name, id]))
  const defaultId = names.get(DEFAULT_ORGANIZATION)
  if (defaultId === undefined) throw new Error('There is no organization default.')
  const { rows } = await sql<{ id: string; org_id: string; kind: string; name: string; created_by: string | null }>`
    select id, org_id, kind, name, created_by from tollgate.spenders`.execute(query)
  const nameOf = (one: { org_id: string; kind: string; name: string }) =>
    JSON.stringify([one.org_id, one.kind, one.name])
  const spenders = new Set(rows.map(nameOf))
  const ours = new Set(rows.filter(({ created_by }) => created_by === actor).map(({ id }) => id))
  const keys = await sql<{ hash: string }>`
    select encode(key_hash, 'hex') as hash from tollgate.api_keys where kind = 'virtual_key'`.execute(query)
  const hashes = new Set(keys.rows.map(({ hash }) => hash))
  const clock = await sql<{ now: Date }>`select tollgate.tollgate_now() as now`.execute(query)
  return {
    ...{ defaultId, names, organizations: new Set(organizations.map(({ id }) => id)) },
    has: ({ organizationId, kind, name, key }) =>
      key === null
        ? spenders.has(nameOf({ org_id: organizationId, kind, name }))
        : hashes.has(key.hash.toString('hex')),
    isOurs: ({ id }) => ours.has(id),
    now: clock.rows[0]?.now ?? new Date(),
  }
}
