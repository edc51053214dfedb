/** One row of what hangs on an organization: taken as it will stand here, or named with what stands against it. */
import { amountOf } from './amount-of.ts'
import type { Findings } from './finding.ts'
import { oneOf } from './one-of.ts'
import type { MovedOrganization } from './organization.ts'
import { rowId } from './row-id.ts'
import type { SourceRow } from './source.ts'

const PLANS = ['platform', 'byok', 'hybrid']
const SUBSCRIPTION_STATUSES = ['active', 'trialing', 'past_due', 'canceled', 'paused']
const CYCLES = ['monthly', 'yearly', 'custom']
const ROLES = ['owner', 'admin', 'member', 'billing_admin']
const PERIODS = ['daily', 'weekly', 'monthly', 'never']
const EVENTS =
  'invoice_created invoice_paid invoice_failed subscription_created subscription_upgraded subscription_downgraded subscription_canceled credit_purchase credit_refund overage_charged'.split(
    ' ',
  )
const PAYMENTS = ['pending', 'paid', 'failed', 'refunded', 'canceled']

export function takeMember(owner: MovedOrganization, row: SourceRow, findings: Findings): void {
  const at = { row: row.id ?? null, organization: owner.theirs, user: row.user_id ?? null }
  const table = 'organization_members'
  if (!row.user_id) {
    findings.add('left', 'no_user', table, 'It names no user.', at)
    return
  }
  if (owner.members.has(row.user_id)) {
    findings.add('left', 'duplicate', table, 'The user is a member by another row.', at)
    return
  }
  const role = oneOf(row.role ?? null, ROLES)
  if (role === null)
    findings.add(
      'changed',
      'unknown_value',
      table,
      `The role ${shown(row.role)} is unknown; here the user is a member.`,
      at,
    )
  owner.members.set(row.user_id, { ...row, role: role ?? 'member' })
}

export function takeSubscription(owner: MovedOrganization, row: SourceRow, findings: Findings): void {
  const at = { row: row.id ?? null, organization: owner.theirs }
  const table = 'organization_subscriptions'
  const plan = oneOf(row.subscription_plan ?? null, PLANS)
  if (plan === null) {
    findings.add('left', 'unknown_value', table, `The plan ${shown(row.subscription_plan)} is unknown.`, at)
    return
  }
  const status = oneOf(row.status ?? null, SUBSCRIPTION_STATUSES)
  if (status === null) {
    findings.add('left', 'unknown_value', table, `The status ${shown(row.status)} is unknown.`, at)
    return
  }
  if (status === 'active' && owner.subscriptions.some((other) => other.status === 'active')) {
    findings.add('left', 'duplicate', table, 'The organization has another active subscription.', at)
    return
  }
  const cycle = oneOf(row.billing_cycle ?? null, CYCLES)
  if (cycle === null)
    findings.add(
      'changed',
      'unknown_value',
      table,
      `The billing cycle ${shown(row.billing_cycle)} is unknown; here it is custom.`,
      at,
    )
  const price = dollars(row.monthly_price)
  if (price !== row.monthly_price)
    findings.add(
      'changed',
      'unreadable_amount',
      table,
      `The monthly price ${shown(row.monthly_price)} is none; here it is 0.`,
      at,
    )
  owner.subscriptions.push({
    ...row,
    subscription_plan: plan,
    status,
    billing_cycle: cycle ?? 'custom',
    monthly_price: price,
  })
}

export function takePool(owner: MovedOrganization, row: SourceRow, findings: Findings): void {
  const at = { row: row.id ?? null, organization: owner.theirs }
  const table = 'organization_credit_pools'
  if (owner.pool !== null) {
    findings.add('left', 'duplicate', table, 'The organization has another pool.', at)
    return
  }
  const amount = (column: string) => amountOf(row, { table, column, findings, at })
  const pool = { total: amount('total_credits'), allocated: amount('allocated_credits'), used: amount('used_credits') }
  if (pool.total < 0n)
    findings.add('changed', 'negative_balance', table, 'total_credits is below zero; here it is 0.', {
      ...at,
      credits: pool.total,
    })
  owner.pool = { row, ...pool }
}

export function takeAllocation(owner: MovedOrganization, row: SourceRow, findings: Findings): void {
  const at = { row: row.id ?? null, organization: owner.theirs, user: row.user_id ?? null }
  const table = 'user_credit_allocations'
  if (!row.user_id) {
    findings.add('left', 'no_user', table, 'It names no user.', at)
    return
  }
  if (owner.allocations.has(row.user_id)) {
    findings.add('left', 'duplicate', table, 'The user has another allocation of this organization.', at)
    return
  }
  const allocated = amountOf(row, { table, column: 'allocated_credits', findings, at })
  const used = amountOf(row, { table, column: 'used_credits', findings, at })
  // Both up by as much: what is left stays the same.
  const lift = [0n, -allocated, -used].reduce((most, one) => (one > most ? one : most))
  if (lift > 0n)
    findings.add(
      'changed',
      'negative_balance',
      table,
      'Allocated or used is below zero; here both are more by as much.',
      { ...at, credits: lift },
    )
  const period = oneOf(row.reset_period ?? null, PERIODS)
  if (period === null)
    findings.add(
      'changed',
      'unknown_value',
      table,
      `The reset period ${shown(row.reset_period)} is unknown; here it is never.`,
      at,
    )
  if (!owner.members.has(row.user_id))
    findings.add(
      'difference',
      'allocation_without_member',
      table,
      'Its user is not a member of the organization. Carried as it is.',
      at,
    )
  const id = rowId(table, row.id ?? `${owner.theirs}/${row.user_id}`)
  const kept = { ...row, reset_period: period ?? 'never' }
  owner.allocations.set(row.user_id, {
    id,
    row: kept,
    allocated: allocated + lift,
    used: used + lift,
    net: 0n,
    charged: 0n,
  })
}

export function takeHistory(owner: MovedOrganization, row: SourceRow, findings: Findings): void {
  const at = { row: row.id ?? null, organization: owner.theirs }
  const table = 'org_billing_history'
  // As Ops-Center's documents call it.
  const stated = row.event_type === 'credits_purchased' ? 'credit_purchase' : row.event_type
  const event = oneOf(stated ?? null, EVENTS)
  if (event === null) {
    findings.add('left', 'unknown_value', table, `The event ${shown(row.event_type)} is unknown.`, at)
    return
  }
  const status = oneOf(row.payment_status ?? null, PAYMENTS)
  if (status === null && row.payment_status !== null)
    findings.add(
      'changed',
      'unknown_value',
      table,
      `The payment status ${shown(row.payment_status)} is unknown; here there is none.`,
      at,
    )
  const subscription = owner.subscriptions.some(({ id }) => id === row.subscription_id)
    ? (row.subscription_id ?? null)
    : null
  const amount = row.amount !== null && Number.isFinite(Number(row.amount)) ? (row.amount ?? null) : '0'
  owner.history.push({ ...row, event_type: event, payment_status: status, subscription_id: subscription, amount })
}

function dollars(text: string | null | undefined): string {
  const value = Number(text ?? Number.NaN)
  return Number.isFinite(value) && value >= 0 ? String(text) : '0'
}

function shown(value: string | null | undefined): string {
  return value === null || value === undefined ? 'NULL' : JSON.stringify(value)
}
