/**
 * The rows of use there: what they add up to, and which are there twice. Ops-Center's deduct_credits takes the same request_id as often
 * as it is sent, so a client that tried again paid again. Each such row was taken from pool and allocation, and is carried; who pays it
 * back does it by a refund of the call, whose id is that of the row.
 */
import { amountOf } from './amount-of.ts'
import type { Findings } from './finding.ts'
import type { MovedOrganization } from './organization.ts'
import { eachOwned, type Organizations } from './read-organizations.ts'
import { rowId } from './row-id.ts'
import type { Source, SourceRow } from './source.ts'
import { USE } from './source-columns.ts'

const TABLE = 'credit_usage_attribution'

export interface DoubleDebits {
  /** Of a pool: user is null. */
  organization: string
  user: string | null
  rows: number
  credits: bigint
}

/** @returns what was taken twice or more often, of each pool and each allocation. */
export async function readUse(
  source: Source,
  organizations: Organizations,
  findings: Findings,
): Promise<DoubleDebits[]> {
  const seen = new Map<string, string>()
  const doubles = new Map<string, DoubleDebits>()
  await eachOwned(source, {
    table: TABLE,
    wanted: USE,
    organizations,
    findings,
    take(owner, row) {
      const at = { row: row.id ?? null, organization: owner.theirs, user: row.user_id ?? null }
      if (!row.user_id) {
        findings.add('left', 'no_user', TABLE, 'It names no user.', at)
        return
      }
      const credits = amountOf(row, { table: TABLE, column: 'credits_used', findings, at })
      add(owner, row.user_id, credits, findings, at)
      if (credits < 0n) {
        findings.add('difference', 'negative_use', TABLE, 'It gave credits back; here that is a row of the journal.', {
          ...at,
          credits,
        })
        return
      }
      owner.charges += 1
      const first = again(seen, owner, row)
      if (first === null || credits === 0n) return
      const says = `Request ${row.request_id} was deducted again: ${first} is the same. Carried; its call id for a refund is ${rowId(TABLE, row.id ?? '')}.`
      findings.add('difference', 'double_debit', TABLE, says, { ...at, credits })
      for (const user of [null, row.user_id]) count(doubles, owner.theirs, user, credits)
    },
  })
  return [...doubles.values()]
}

/** Everything that makes it the same call, but for its time. @returns the id of the first such row. */
function again(seen: Map<string, string>, owner: MovedOrganization, row: SourceRow): string | null {
  if (!row.request_id) return null
  const key = JSON.stringify([
    owner.theirs,
    row.user_id,
    row.request_id,
    row.service_type,
    row.service_name,
    row.credits_used,
  ])
  const first = seen.get(key)
  if (first === undefined) seen.set(key, row.id ?? '')
  return first ?? null
}

function count(doubles: Map<string, DoubleDebits>, organization: string, user: string | null, credits: bigint): void {
  const key = JSON.stringify([organization, user])
  const known = doubles.get(key) ?? { organization, user, rows: 0, credits: 0n }
  doubles.set(key, { ...known, rows: known.rows + 1, credits: known.credits + credits })
}

function add(
  owner: MovedOrganization,
  user: string,
  credits: bigint,
  findings: Findings,
  at: { row: string | null; organization: string; user: string | null },
): void {
  let allocation = owner.allocations.get(user)
  if (!owner.members.has(user))
    findings.add(
      'difference',
      'use_without_member',
      TABLE,
      'Its user is not a member of the organization. Carried as it is.',
      { ...at, credits },
    )
  if (allocation === undefined) {
    findings.add(
      'difference',
      'use_without_allocation',
      TABLE,
      'Its user has no allocation; here there is one that has ended, with what was used.',
      at,
    )
    allocation = {
      id: rowId('user_credit_allocations', `${owner.theirs}/${user}`),
      row: null,
      allocated: 0n,
      used: 0n,
      net: 0n,
      charged: 0n,
    }
    owner.allocations.set(user, allocation)
  }
  allocation.net += credits
  if (credits > 0n) allocation.charged += credits
  if (allocation.row !== null) return
  allocation.used = allocation.net > 0n ? allocation.net : 0n
  allocation.allocated = allocation.used
}
