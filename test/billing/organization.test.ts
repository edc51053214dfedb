import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { listBilling } from '../../src/billing/billing-history.ts'
import { type ChangeTransaction, change } from '../../src/billing/change.ts'
import {
  changeRole,
  joinOrganization,
  listMemberRows,
  removeMember,
  transferOwnership,
} from '../../src/billing/change-membership.ts'
import {
  foundOrganization,
  listOrganizationsOf,
  renameOrganization,
  setOrganizationStatus,
} from '../../src/billing/change-organization.ts'
import { endTrials } from '../../src/billing/end-trials.ts'
import { foundOwnOrganization } from '../../src/billing/found-own-organization.ts'
import { acceptInvitation, invite, listInvitations, revokeInvitation } from '../../src/billing/invitations.ts'
import {
  cancelSubscription,
  changePlan,
  createSubscription,
  findSubscription,
} from '../../src/billing/subscriptions.ts'
import { organizationBilling } from '../../src/reports/organization-billing.ts'
import { organizationUsage } from '../../src/reports/organization-usage.ts'
import { systemBilling } from '../../src/reports/system-billing.ts'
import { listUserOrganizations, usageOf30Days } from '../../src/reports/user-billing.ts'
import { balances, close, hold } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()
const prices = { platform: 5_000n, byok: 3_000n, hybrid: 9_900n }
const page = { limit: 50, offset: 0 }

function run<T>(work: (transaction: ChangeTransaction) => Promise<T>): Promise<T> {
  return change(db.database, { actor: 'tester', key: null, asked: '' }, work).then((text) => JSON.parse(text) as T)
}

const found = (owner = 'olga') =>
  run((tx) => foundOrganization(tx, { name: `org-${randomUUID()}`, displayName: null, owner, actor: 'tester' }))

describe('a subscription', () => {
  const start = (organizationId: string, trialDays = 0) =>
    run((tx) => createSubscription(tx, prices, { organizationId, plan: 'platform', cycle: 'monthly', trialDays }))

  test('A subscription costs what the catalogue says and is in the history.', async () => {
    const org = await found()
    await db.setNow('2026-03-01T00:00:00Z')
    expect(await start(org.id)).toEqual({
      id: expect.any(String),
      org_id: org.id,
      org_name: org.name,
      subscription_plan: 'platform',
      monthly_price: '50.00',
      billing_cycle: 'monthly',
      status: 'active',
      trial_ends_at: null,
      current_period_start: '2026-03-01T00:00:00.000000Z',
      current_period_end: '2026-03-31T00:00:00.000000Z',
      created_at: '2026-03-01T00:00:00.000000Z',
    })
    expect(await listBilling(db.database, org.id, page)).toMatchObject([
      { event_type: 'subscription_created', amount: '50.00', currency: 'USD', payment_status: null },
    ])
  })

  test('A subscription in its trial is shown, and a second one beside it is refused.', async () => {
    const org = await found()
    await start(org.id, 7)
    expect(await findSubscription(db.database.query, org.id)).toMatchObject({ status: 'trialing' })
    await expect(start(org.id)).rejects.toMatchObject({ status: 409, code: 'SUBSCRIPTION_EXISTS' })
  })

  test('A trial becomes the plan itself from the moment at which it was to end.', async () => {
    const [monthly, yearly, later] = [await found(), await found(), await found()]
    await db.setNow('2026-03-01T00:00:00Z')
    const terms = { plan: 'platform', trialDays: 7 } as const
    await start(monthly.id, 7)
    await run((tx) => createSubscription(tx, prices, { organizationId: yearly.id, cycle: 'yearly', ...terms }))
    await start(later.id, 30)
    await db.setNow('2026-03-07T23:59:59Z')
    expect(await endTrials(db.database)).toBe(0)
    await db.setNow('2026-03-10T00:00:00Z')
    const ended = await Promise.all([endTrials(db.database), endTrials(db.database)])
    expect(ended.reduce((a, b) => a + b)).toBe(2)
    const shown = (id: string) => findSubscription(db.database.query, id)
    const period = { current_period_start: '2026-03-08T00:00:00.000000Z', trial_ends_at: '2026-03-08T00:00:00.000000Z' }
    expect(await shown(monthly.id)).toMatchObject({
      ...period,
      status: 'active',
      monthly_price: '50.00',
      current_period_end: '2026-04-07T00:00:00.000000Z',
    })
    expect(await shown(yearly.id)).toMatchObject({
      status: 'active',
      current_period_end: '2027-03-08T00:00:00.000000Z',
    })
    expect(await shown(later.id)).toMatchObject({ status: 'trialing' })
  })

  test('Of two subscriptions that are created at once one is made.', async () => {
    const org = await found()
    const outcomes = await Promise.allSettled([start(org.id), start(org.id)])
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  test('A subscription is upgraded, downgraded, left as it is and canceled by these names.', async () => {
    const org = await found()
    await start(org.id)
    const to = (plan: 'platform' | 'byok' | 'hybrid') => run((tx) => changePlan(tx, prices, org.id, plan))
    expect(await to('hybrid')).toEqual({
      old_plan: 'platform',
      new_plan: 'hybrid',
      old_price: '50.00',
      new_price: '99.00',
      direction: 'upgraded',
    })
    expect(await to('byok')).toMatchObject({ old_price: '99.00', new_price: '30.00', direction: 'downgraded' })
    expect(await to('byok')).toMatchObject({ direction: 'unchanged' })
    expect(await run((tx) => cancelSubscription(tx, org.id))).toMatchObject({ status: 'canceled' })
    await expect(to('hybrid')).rejects.toMatchObject({ status: 404, message: 'No active subscription found' })
    const history = await listBilling(db.database, org.id, page)
    expect(history.map(({ event_type, amount }) => [event_type, amount])).toEqual([
      ['subscription_canceled', '0.00'],
      ['subscription_downgraded', '30.00'],
      ['subscription_upgraded', '99.00'],
      ['subscription_created', '50.00'],
    ])
  })
})

describe('members', () => {
  const member = (organizationId: string, userId: string) => ({ organizationId, userId, actor: 'olga' })

  test('Members join, change their role and leave; what they have not spent returns to the pool and their keys are dead.', async () => {
    const org = await db.seedOrganization({ credits: 1_000, users: { olga: 100, paul: 300 } })
    const { callId } = await hold(db.pool, org.id, { user: 'paul', output: 50 })
    await hold(db.pool, org.id, { user: 'paul', output: 20 }).then((held) =>
      close(db.pool, org.id, held.callId, 20, 'paul'),
    )
    expect(await run((tx) => changeRole(tx, member(org.id, 'paul'), 'admin'))).toMatchObject({ role: 'admin' })
    expect(await run((tx) => removeMember(tx, member(org.id, 'paul')))).toBe('230')
    expect(await balances(db.pool, org.id)).toMatchObject({
      pool: { allocated: '170', used: '20', held: '50' },
      users: { paul: { allocated: '70', used: '20', held: '50' } },
    })
    await close(db.pool, org.id, callId, 50, 'paul')
    expect((await listMemberRows(db.database, org.id)).map(({ user_id }) => user_id)).toEqual(['olga'])
    const { rows } = await db.pool.query('select is_active from tollgate.api_keys where org_id = $1 and user_id = $2', [
      org.id,
      'paul',
    ])
    expect(rows).toEqual([{ is_active: false }])
    expect((await hold(db.pool, org.id, { user: 'paul', output: 1 })).outcome).toBe('no_allocation')

    await run((tx) => joinOrganization(tx, member(org.id, 'paul'), 'member'))
    await db.pool.query("select allocate_credits_to_user($1, 'paul', 5)", [org.id])
    const again = await hold(db.pool, org.id, { user: 'paul', output: 5 })
    expect(again.outcome).toBe('held')
    await close(db.pool, org.id, again.callId, null, 'paul')
  })

  test('Members who left are given no reset at the expense of the pool.', async () => {
    const org = await db.seedOrganization({ credits: 1_000, users: { olga: 0, paul: 300 } })
    await hold(db.pool, org.id, { user: 'paul', output: 20 }).then((held) =>
      close(db.pool, org.id, held.callId, 20, 'paul'),
    )
    await run((tx) => removeMember(tx, member(org.id, 'paul')))
    await db.moveClock('65 days')
    await db.pool.query("select tollgate.ledger_lock_and_refresh($1, 'paul')", [org.id])
    expect((await balances(db.pool, org.id)).users.paul).toEqual({ allocated: '20', used: '20', held: '0' })
  })

  test('Members leave an owner behind.', async () => {
    const org = await found()
    await run((tx) => joinOrganization(tx, member(org.id, 'paul'), 'member'))
    await expect(run((tx) => joinOrganization(tx, member(org.id, 'paul'), 'member'))).rejects.toMatchObject({
      status: 409,
      code: 'ALREADY_EXISTS',
    })
    await expect(run((tx) => removeMember(tx, member(org.id, 'olga')))).rejects.toMatchObject({ code: 'last_owner' })
    await expect(run((tx) => changeRole(tx, member(org.id, 'olga'), 'member'))).rejects.toMatchObject({
      status: 409,
      code: 'last_owner',
    })
    await run((tx) => transferOwnership(tx, member(org.id, 'paul')))
    expect(await listMemberRows(db.database, org.id)).toMatchObject([
      { user_id: 'olga', role: 'admin' },
      { user_id: 'paul', role: 'owner' },
    ])
    await expect(run((tx) => removeMember(tx, member(org.id, 'eve')))).rejects.toMatchObject({ status: 404 })
  })

  test('Members join by an invitation, which is accepted once and only while it is pending.', async () => {
    const org = await found()
    const send = (days = 7) =>
      run((tx) =>
        invite(tx, { organizationId: org.id, email: 'p@example.com', role: 'billing_admin', days, actor: 'olga' }),
      )
    const accept = (token: string, user = 'paul') => run((tx) => acceptInvitation(tx, token, user))
    const first = await send()
    expect(first).toMatchObject({ status: 'pending', token: expect.stringMatching(/^inv_[0-9a-f]{64}$/) })
    expect(await accept(first.token)).toMatchObject({ org_id: org.id, user_id: 'paul', role: 'billing_admin' })
    await expect(accept(first.token, 'eve')).rejects.toMatchObject({ status: 404, code: 'invitation_not_found' })
    const revoked = await send()
    await run((tx) => revokeInvitation(tx, org.id, revoked.id))
    await expect(accept(revoked.token, 'eve')).rejects.toMatchObject({ status: 404 })
    const late = await send(1)
    await db.moveClock('2 days')
    await expect(accept(late.token, 'eve')).rejects.toMatchObject({ status: 404 })
    const listed = await listInvitations(db.database, org.id)
    expect(listed.map(({ status }) => status)).toEqual(['expired', 'revoked', 'accepted'])
    expect(JSON.stringify(listed)).not.toContain(first.token)
  })
})

describe('an organization', () => {
  test('An organization is founded, renamed, suspended, and seen by its members.', async () => {
    const org = await found()
    await expect(
      run((tx) => foundOrganization(tx, { name: org.name, displayName: null, owner: 'x', actor: 'y' })),
    ).rejects.toMatchObject({ status: 409, code: 'ALREADY_EXISTS' })
    expect(await run((tx) => renameOrganization(tx, org.id, { displayName: 'Shown' }))).toMatchObject({
      name: org.name,
      display_name: 'Shown',
    })
    await run((tx) => setOrganizationStatus(tx, org.id, 'suspended'))
    expect(await listOrganizationsOf(db.database, 'olga', [org.id])).toMatchObject([
      { id: org.id, role: 'owner', member_count: 1, status: 'suspended' },
    ])
    expect(await listOrganizationsOf(db.database, 'eve', [org.id])).toEqual([])
    expect(await listOrganizationsOf(db.database, 'eve', null)).toContainEqual(
      expect.objectContaining({ id: org.id, role: null }),
    )
  })

  test('A user who belongs to no organization gets one of their own, once.', async () => {
    const user = `ida-${randomUUID()}`
    const make = () => run((tx) => foundOwnOrganization(tx, user, 'ida@example.com'))
    const org = await make()
    expect(org).toMatchObject({ name: `user:${user}`, display_name: 'ida@example.com', status: 'active' })
    expect(await listMemberRows(db.database, org.id)).toMatchObject([{ user_id: user, role: 'owner' }])
    await expect(make()).rejects.toMatchObject({ status: 409 })
  })

  test('An organization is reported with the sums of its books.', async () => {
    const org = await db.seedOrganization({ credits: 1_000, users: { rita: 300, sam: 200 } })
    for (const [user, credits] of [
      ['rita', 100.5],
      ['rita', 2.5],
      ['sam', 7],
    ] as const)
      await hold(db.pool, org.id, { user, output: credits }).then((held) =>
        close(db.pool, org.id, held.callId, credits, user),
      )
    await db.pool.query("select deduct_credits($1, 'sam', 50, 'company_enrichment')", [org.id])
    expect(await organizationUsage(db.database, org.id, 30)).toEqual({
      total_credits_used: '160',
      user_count: 2,
      services: [
        { service_type: 'company_enrichment', credits: '50' },
        { service_type: 'llm_inference', credits: '110' },
      ],
      top_users: [
        { user_id: 'rita', total_credits: '103', request_count: 2 },
        { user_id: 'sam', total_credits: '57', request_count: 2 },
      ],
      date_range_start: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/),
      date_range_end: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/),
    })
    expect(await organizationBilling(db.database, org.id)).toMatchObject({
      organization: { id: org.id, name: org.name, status: 'active' },
      subscription: { plan: 'platform', status: 'active' },
      credit_pool: { total_credits: '1000.000000', used_credits: '160.000000', available_credits: '500.000000' },
      user_allocations: [{ user_id: 'rita', remaining_credits: '197.000000' }, { user_id: 'sam' }],
      usage: { total_credits_used: '160', active_users: 2, total_requests: 4 },
    })
    expect(await organizationBilling(db.database, randomUUID())).toBeNull()
    expect(await listUserOrganizations(db.database, 'rita', [org.id])).toMatchObject([
      { org_id: org.id, role: 'owner', subscription_plan: 'platform', remaining_credits: '197.000000' },
    ])
    expect(await usageOf30Days(db.database, 'rita', [org.id])).toEqual({
      total_credits_used: '103',
      org_count: 1,
      request_count: 2,
    })
    expect(await usageOf30Days(db.database, 'nobody', [org.id])).toEqual({
      total_credits_used: null,
      org_count: 0,
      request_count: 0,
    })
    const system = await systemBilling(db.database)
    expect(system.organizations.find(({ org_id }) => org_id === org.id)).toMatchObject({
      member_count: 2,
      used_credits: '160.000000',
    })
    expect(system.top.find(({ org_id }) => org_id === org.id)).toMatchObject({ credits: '160', user_count: 2 })
  })
})
