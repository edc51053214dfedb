/** Organizations there and what hangs on them, but for the rows of use. What can't be carried as it is is named. */
import type { Findings } from './finding.ts'
import { oneOf } from './one-of.ts'
import type { MovedOrganization } from './organization.ts'
import { rowId } from './row-id.ts'
import type { Source, SourceRow, Wanted } from './source.ts'
import { ALLOCATIONS, HISTORY, MEMBERS, ORGANIZATIONS, POOLS, SUBSCRIPTIONS } from './source-columns.ts'
import { takeAllocation, takeHistory, takeMember, takePool, takeSubscription } from './take-rows.ts'

export interface Here {
  /** Ids of organizations that are here, and the names that are taken. */
  ids: ReadonlySet<string>
  names: ReadonlySet<string>
}

export interface Organizations {
  /** Those to carry, by their id there. */
  toCarry: Map<string, MovedOrganization>
  /** Ids there of those that are here already. */
  already: ReadonlySet<string>
  /** Ids there of those that are named as left: what hangs on them is not named again. */
  left: Set<string>
}

const STATUSES = ['active', 'suspended', 'deleted']

export async function readOrganizations(source: Source, here: Here, findings: Findings): Promise<Organizations> {
  const organizations = await readNames(source, here, findings)
  const each = (table: string, wanted: Wanted, take: (owner: MovedOrganization, row: SourceRow) => void) =>
    eachOwned(source, { table, wanted, organizations, findings, take })
  await each('organization_members', MEMBERS, (owner, row) => takeMember(owner, row, findings))
  await each('organization_subscriptions', SUBSCRIPTIONS, (owner, row) => takeSubscription(owner, row, findings))
  await each('organization_credit_pools', POOLS, (owner, row) => takePool(owner, row, findings))
  await each('user_credit_allocations', ALLOCATIONS, (owner, row) => takeAllocation(owner, row, findings))
  await each('org_billing_history', HISTORY, (owner, row) => takeHistory(owner, row, findings))
  return organizations
}

async function readNames(source: Source, here: Here, findings: Findings): Promise<Organizations> {
  const toCarry = new Map<string, MovedOrganization>()
  const already = new Set<string>()
  const left = new Set<string>()
  const names = new Set(here.names)
  const table = 'organizations'
  for await (const rows of source.pages(table, ORGANIZATIONS, ['created_at', 'id']))
    for (const row of rows) {
      const theirs = row.id ?? ''
      const id = rowId(table, theirs)
      if (here.ids.has(id)) {
        already.add(theirs)
        continue
      }
      const at = { row: theirs, organization: theirs }
      const name = row.name?.trim() || theirs
      if (names.has(name)) {
        left.add(theirs)
        findings.add(
          'left',
          'name_taken',
          table,
          `An organization named ${JSON.stringify(name)} exists here. Rename one of them.`,
          at,
        )
        continue
      }
      if (!row.name?.trim())
        findings.add('changed', 'no_name', table, `It has no name; here it is named by its id.`, at)
      if (id !== theirs.toLowerCase())
        findings.add(
          'changed',
          'id_is_no_uuid',
          table,
          `Its id is no UUID; here it is ${id}. Callers that send the old id must send this one.`,
          at,
        )
      const status = row.status ?? (row.is_active === 'false' ? 'suspended' : 'active')
      const known = oneOf(status, STATUSES)
      if (known === null)
        findings.add(
          'changed',
          'unknown_value',
          table,
          `Its status ${JSON.stringify(status)} is unknown; here it is suspended.`,
          at,
        )
      names.add(name)
      toCarry.set(theirs, {
        id,
        theirs,
        name,
        row: { ...row, status: known ?? 'suspended' },
        pool: null,
        members: new Map(),
        allocations: new Map(),
        subscriptions: [],
        history: [],
        charges: 0,
      })
    }
  return { toCarry, already, left }
}

interface Owned {
  table: string
  wanted: Wanted
  organizations: Organizations
  findings: Findings
  take: (owner: MovedOrganization, row: SourceRow) => void
}

/** Rows of organizations that are here or left are passed over; rows of nobody are named. */
export async function eachOwned(
  source: Source,
  { table, wanted, organizations, findings, take }: Owned,
): Promise<void> {
  for await (const rows of source.pages(table, wanted, ['created_at', 'joined_at', 'id']))
    for (const row of rows) {
      const theirs = row.org_id ?? ''
      const owner = organizations.toCarry.get(theirs)
      if (owner !== undefined) take(owner, row)
      else if (!organizations.already.has(theirs) && !organizations.left.has(theirs))
        findings.add('left', 'orphan', table, `It belongs to organization ${theirs || '(none)'}, which is not there.`, {
          row: row.id ?? null,
          organization: theirs || null,
          user: row.user_id ?? null,
        })
    }
}
