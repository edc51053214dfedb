/** What does not add up in an organization's balances there, said for the pool and for each allocation. */
import { trimDecimal } from '../metering/money.ts'
import { type Balance, balanceOrganization } from './balance-organization.ts'
import type { Findings } from './finding.ts'
import type { MovedOrganization } from './organization.ts'

export interface Compared {
  organization: MovedOrganization
  balance: Balance
}

/** Organizations that hand out more than they have are left, unless the operator covers it: here nobody spends what nobody bought. */
export function compareBalances(
  organizations: Iterable<MovedOrganization>,
  { coverShortage, findings }: { coverShortage: boolean; findings: Findings },
): Compared[] {
  const carried: Compared[] = []
  for (const organization of organizations) {
    const balance = balanceOrganization(organization)
    compareUsers(organization, findings)
    comparePool(organization, findings)
    if (balance.shortage > 0n) {
      findings.add(
        coverShortage ? 'changed' : 'left',
        'allocations_above_pool',
        'organization_credit_pools',
        `Its allocations hand out ${trimDecimal(balance.shortage, 6)} credits more than the pool has. ${
          coverShortage
            ? 'Here the pool has as much more.'
            : 'Buy credits or take some back there, or give --cover-shortage: the pool then gets as much more.'
        }`,
        { row: organization.pool?.row.id ?? null, organization: organization.theirs, credits: balance.shortage },
      )
      if (!coverShortage) continue
    }
    carried.push({ organization, balance })
  }
  return carried
}

function compareUsers({ theirs, allocations }: MovedOrganization, findings: Findings): void {
  for (const [user, { row, used, net }] of allocations) {
    if (row === null || used === net) continue
    const at = { row: row.id ?? null, organization: theirs, user, credits: used > net ? used - net : net - used }
    if (used > net)
      findings.add(
        'difference',
        'use_without_rows',
        'user_credit_allocations',
        `used_credits is ${trimDecimal(used, 6)}, its rows of use add up to ${trimDecimal(net, 6)}. Here a row makes up for it.`,
        at,
      )
    else
      findings.add(
        'difference',
        'rows_without_use',
        'user_credit_allocations',
        `Its rows of use add up to ${trimDecimal(net, 6)}, used_credits is ${trimDecimal(used, 6)}. Here the journal says that it was given back.`,
        at,
      )
  }
}

function comparePool({ theirs, pool, allocations }: MovedOrganization, findings: Findings): void {
  const table = 'organization_credit_pools'
  if (pool === null) {
    findings.add('difference', 'no_pool', table, 'The organization has no pool; here it has an empty one.', {
      organization: theirs,
    })
    return
  }
  const at = { row: pool.row.id ?? null, organization: theirs }
  let used = 0n
  let allocated = 0n
  for (const allocation of allocations.values()) {
    used += allocation.used
    allocated += allocation.allocated
  }
  if (pool.used !== used)
    findings.add(
      'difference',
      'pool_used_differs',
      table,
      `used_credits is ${trimDecimal(pool.used, 6)}, its allocations have used ${trimDecimal(used, 6)}.`,
      { ...at, credits: pool.used - used },
    )
  if (pool.allocated !== allocated)
    findings.add(
      'difference',
      'pool_allocated_differs',
      table,
      `allocated_credits is ${trimDecimal(pool.allocated, 6)}, its allocations have ${trimDecimal(allocated, 6)}.`,
      { ...at, credits: pool.allocated - allocated },
    )
}
