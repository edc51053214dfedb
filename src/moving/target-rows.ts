/** The rows of an organization as they will stand here. Pure: `now` is for dates that are missing there. */
import { formatDecimal } from '../metering/money.ts'
import type { Compared } from './compare-balances.ts'
import type { Values } from './insert-rows.ts'
import { readCredits } from './read-credits.ts'
import { rowId } from './row-id.ts'
import type { SourceRow } from './source.ts'

export const ACTOR = 'tollgate migrate-from ops-center'
const NOTE = 'as it was in Ops-Center'

export function organizationRow({ organization: { id, name, row } }: Compared, now: string): Values {
  return {
    ...row,
    id,
    name,
    plan_tier: row.plan_tier ?? 'founders_friend',
    max_seats: row.max_seats ?? '1',
    created_at: row.created_at ?? now,
    updated_at: row.updated_at ?? now,
  }
}

export function memberRows({ organization }: Compared, now: string): Values[] {
  return [...organization.members].map(([user, row]) => ({
    id: rowId('organization_members', row.id ?? `${organization.theirs}/${user}`),
    org_id: organization.id,
    user_id: user,
    role: row.role,
    joined_at: row.joined_at ?? now,
  }))
}

export function subscriptionRows({ organization }: Compared, now: string): Values[] {
  return organization.subscriptions.map((row) => ({
    ...row,
    id: rowId('organization_subscriptions', row.id ?? organization.theirs),
    org_id: organization.id,
    current_period_start: row.current_period_start ?? row.created_at ?? now,
    created_at: row.created_at ?? now,
    updated_at: row.updated_at ?? now,
  }))
}

export function historyRows({ organization }: Compared, now: string): Values[] {
  return organization.history.map((row) => ({
    ...row,
    id: rowId('org_billing_history', row.id ?? ''),
    org_id: organization.id,
    subscription_id: row.subscription_id ? rowId('organization_subscriptions', row.subscription_id) : null,
    currency: row.currency ?? 'USD',
    created_at: row.created_at ?? now,
  }))
}

export function poolRow({ organization: { id, theirs, pool }, balance }: Compared, now: string): Values {
  const row = pool?.row ?? {}
  const atLeastZero = (text: string | null | undefined) => {
    const { micro } = readCredits(text ?? null)
    return credits(micro > 0n ? micro : 0n)
  }
  return {
    ...row,
    id: rowId('organization_credit_pools', row.id ?? theirs),
    org_id: id,
    total_credits: credits(balance.pool.total),
    allocated_credits: credits(balance.pool.allocated),
    used_credits: credits(balance.pool.used),
    overage_credits: credits(balance.pool.overage),
    monthly_refresh_amount: atLeastZero(row.monthly_refresh_amount),
    overage_limit: atLeastZero(row.overage_limit),
    overage_rate: atLeastZero(row.overage_rate),
    lifetime_purchased_credits: atLeastZero(row.lifetime_purchased_credits),
    lifetime_spent_amount: atLeastZero(row.lifetime_spent_amount),
    allow_overage: row.allow_overage === 'true',
    last_refresh_date: row.last_refresh_date ?? now,
    created_at: row.created_at ?? now,
    updated_at: row.updated_at ?? now,
  }
}

export function allocationRows({ organization, balance }: Compared, now: string): Values[] {
  return balance.users.map(({ user, allocated, used }) => {
    const known = organization.allocations.get(user)
    const row = known?.row ?? { is_active: 'false', reset_period: 'never', notes: NOTE_OF_MADE }
    const active = row.is_active !== 'false'
    return {
      ...row,
      id: known?.id,
      org_id: organization.id,
      user_id: user,
      allocated_credits: credits(allocated),
      used_credits: credits(used),
      is_active: active,
      // An allocation that has ended is not filled again.
      next_reset_date: active && row.reset_period !== 'never' ? row.next_reset_date : null,
      last_reset_date: row.last_reset_date ?? now,
      created_at: row.created_at ?? now,
      updated_at: row.updated_at ?? now,
    }
  })
}

const NOTE_OF_MADE = 'made by the move from Ops-Center, for use whose user had no allocation'

/** What was bought, what was handed out, what was given back. Money changed hands there, so nothing is paid here. */
export function journalRows({ organization: { id }, balance }: Compared, now: string): Values[] {
  const base = { org_id: id, actor: ACTOR, note: NOTE, created_at: now }
  const rows: Values[] = []
  const bought = balance.users.reduce((rest, { givenBack }) => rest - givenBack, balance.pool.total) - balance.shortage
  if (bought > 0n) rows.push({ ...base, kind: 'purchase', pool_total: credits(bought) })
  if (balance.shortage > 0n)
    rows.push({
      ...base,
      kind: 'purchase',
      pool_total: credits(balance.shortage),
      note: `${NOTE}: handed out there above the pool (--cover-shortage)`,
    })
  for (const { user, allocated, givenBack } of balance.users) {
    if (allocated > 0n)
      rows.push({
        ...base,
        kind: 'allocate',
        user_id: user,
        pool_allocated: credits(allocated),
        allocation_allocated: credits(allocated),
      })
    if (givenBack > 0n)
      rows.push({
        ...base,
        kind: 'refund',
        user_id: user,
        pool_total: credits(givenBack),
        pool_allocated: credits(givenBack),
        allocation_used: credits(-givenBack),
        note: `${NOTE}: given back there`,
      })
  }
  return rows.map((row) => ({
    pool_total: '0',
    pool_allocated: '0',
    allocation_allocated: '0',
    allocation_used: '0',
    ...row,
  }))
}

/** One row for what a user has used and nothing says for what. */
export function unexplainedUse({ organization, balance }: Compared, now: string): Values[] {
  return balance.users.flatMap(({ user, unexplained }) => {
    const allocation = organization.allocations.get(user)
    if (unexplained === 0n || allocation === undefined) return []
    const id = rowId('unexplained use', allocation.id)
    return chargeRow(
      { id, user_id: user, credits_used: credits(unexplained), service_type: 'unexplained', service_name: NOTE },
      { organizationId: organization.id, allocationId: allocation.id, now },
    )
  })
}

export function chargeRow(row: SourceRow, to: { organizationId: string; allocationId: string; now: string }): Values[] {
  return [
    {
      ...row,
      org_id: to.organizationId,
      allocation_id: to.allocationId,
      // What a refund names.
      call_id: row.id,
      service_type: row.service_type ?? 'unknown',
      api_cost: row.api_cost ?? '0',
      markup_applied: row.markup_applied ?? '0',
      outcome: 'answered',
      details: JSON.stringify({ moved_from: 'ops-center' }),
      created_at: row.created_at ?? to.now,
    },
  ]
}

export function credits(micro: bigint): string {
  return formatDecimal(micro, 6)
}
