/** The requests that LoopNet Leads and Center-Deep Pro send to organization billing, with the exact keys, types and texts they know. */
import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { useProduct } from '../../support/product.ts'
import { MASTER_KEY } from '../../support/tollgate.ts'

const product = useProduct()
const base = '/api/v1/org-billing'

interface Answer {
  status: number
  headers: Headers
  text: string
  json: ReturnType<typeof JSON.parse>
}

async function send(method: string, path: string, key: string | null, body?: unknown, headers = {}): Promise<Answer> {
  const response = await fetch(`${product.tollgate.url}${path.startsWith('/api') ? path : base + path}`, {
    method,
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, json: text === '' ? null : JSON.parse(text) }
}

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
const UUID = expect.stringMatching(/^[0-9a-f-]{36}$/)
const seed = () => product.db.seedOrganization({ credits: 10_000, users: { olga: 1_000, mark: 500 } })

/** An organization without a plan. */
async function withoutPlan() {
  const org = await seed()
  await product.db.pool.query('delete from organization_subscriptions where org_id = $1', [org.id])
  return org
}

/** What a refusal says, to both kinds of reader. */
function refused(answer: Answer, status: number, detail: string | RegExp): void {
  expect({ status: answer.status, detail: answer.json.detail }).toEqual({
    status,
    detail: typeof detail === 'string' ? detail : expect.stringMatching(detail),
  })
  expect(answer.json.error.message).toBe(answer.json.detail)
  expect(answer.headers.get('x-request-id')).not.toBeNull()
}

describe('Callers without a credential', () => {
  test.each([
    ['POST', '/subscriptions', '{}'],
    ['POST', '/subscriptions', undefined],
    ['POST', '/subscriptions', '{malformed'],
    ['POST', '/subscriptions', '{"org_id":"x","subscription_plan":"platform","monthly_price":50}'],
    ['POST', '/credits/test-org-id/add?credits=-1000', undefined],
    ['POST', '/credits/test-org-id/allocate', '{malformed'],
    ['GET', '/credits/test-org-id', undefined],
    ['GET', '/credits/test-org-id/usage?days=0', undefined],
    ['PUT', '/subscriptions/test-org-id/upgrade', undefined],
    ['GET', '/billing/user', undefined],
    ['GET', '/billing/system', undefined],
    ['GET', '/billing/test-org-id/history?limit=0', undefined],
    ['GET', '/organizations', undefined],
    ['DELETE', '/subscriptions/x', undefined],
  ])('Callers without a credential are refused with 401 by %s %s with the body %s.', async (method, path, body) => {
    const answer = await send(method, path, null, body)
    expect(answer.status).toBe(401)
    expect(answer.json.detail).toEqual(expect.any(String))
  })
})

describe('B1: the organizations of a caller', () => {
  test('B1: the organizations of a caller are listed with plan and credits.', async () => {
    const org = await seed()
    await product.db.pool.query("select deduct_credits($1, 'mark', 103, 'valuation')", [org.id])
    const { status, json } = await send('GET', '/billing/user', org.keys.mark)
    expect({ status, json }).toEqual({
      status: 200,
      json: {
        user_id: 'mark',
        user_email: null,
        organizations: [
          {
            org_id: org.id,
            org_name: org.name,
            role: 'member',
            subscription_plan: 'platform',
            monthly_price: 0,
            allocated_credits: 500,
            used_credits: 103,
            remaining_credits: 397,
          },
        ],
        total_usage_last_30_days: { total_credits_used: '103', org_count: 1, request_count: 1 },
      },
    })
  })

  test('B1: a caller who belongs to no organization gets an empty list with zeros.', async () => {
    const { status, json } = await send('GET', '/billing/user', MASTER_KEY)
    expect(status).toBe(200)
    expect(json.organizations).toEqual([])
    expect(json.total_usage_last_30_days).toEqual({ total_credits_used: 0, org_count: 0, request_count: 0 })
  })
})

describe('B2: the credit pool', () => {
  test('B2: the credit pool has its fields, credits as integers and dollars as a text.', async () => {
    const org = await seed()
    const { status, json } = await send('GET', `/credits/${org.id}`, org.keys.mark)
    expect({ status, json }).toEqual({
      status: 200,
      json: {
        id: UUID,
        org_id: org.id,
        org_name: org.name,
        total_credits: 10_000,
        allocated_credits: 1_500,
        used_credits: 0,
        available_credits: 8_500,
        monthly_refresh_amount: 0,
        last_refresh_date: TIME,
        next_refresh_date: null,
        allow_overage: false,
        overage_limit: 0,
        lifetime_purchased_credits: 10_000,
        lifetime_spent_amount: '0.00',
      },
    })
  })

  test('B2: the credit pool is shown to members only, and to the operator.', async () => {
    const [org, other] = [await seed(), await seed()]
    for (const id of [org.id, randomUUID(), 'test-org-llm-001', "x' or 1=1"])
      refused(
        await send('GET', `/credits/${encodeURIComponent(id)}`, other.keys.olga),
        403,
        'Not a member of this organization',
      )
    expect((await send('GET', `/credits/${org.id}`, MASTER_KEY)).status).toBe(200)
    for (const id of [randomUUID(), 'org_abc123'])
      refused(await send('GET', `/credits/${id}`, MASTER_KEY), 404, 'Credit pool not found')
  })

  test('B2: the credit pool keeps amounts that a float would change.', async () => {
    const org = await product.db.seedOrganization({ credits: '9999999999999.123457', users: { olga: 0 } })
    expect((await send('GET', `/credits/${org.id}`, org.keys.olga)).text).toContain(
      '"total_credits":9999999999999.123457,',
    )
  })
})

describe('B3: usage', () => {
  test('B3: usage is broken down by service and by user.', async () => {
    const org = await seed()
    await product.db.pool.query("select deduct_credits($1, 'olga', 100, 'company_enrichment')", [org.id])
    await product.db.pool.query("select deduct_credits($1, 'mark', 3, 'property_search')", [org.id])
    for (const query of ['?days=30', '?days=7', '']) {
      const { status, json } = await send('GET', `/credits/${org.id}/usage${query}`, org.keys.mark)
      expect({ status, json }).toEqual({
        status: 200,
        json: {
          org_id: org.id,
          total_credits_used: 103,
          user_count: 2,
          service_breakdown: { company_enrichment: 100, property_search: 3 },
          top_users: [
            { user_id: 'olga', total_credits: '100', request_count: 1 },
            { user_id: 'mark', total_credits: '3', request_count: 1 },
          ],
          date_range_start: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/),
          date_range_end: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/),
        },
      })
    }
    for (const days of ['0', '366', 'x', ''])
      expect((await send('GET', `/credits/${org.id}/usage?days=${days}`, org.keys.mark)).status).toBe(422)
  })

  test('B3: the usage of an organization without calls is zeros.', async () => {
    const org = await seed()
    const { json } = await send('GET', `/credits/${org.id}/usage`, org.keys.mark)
    expect(json).toMatchObject({ total_credits_used: 0, user_count: 0, service_breakdown: {}, top_users: [] })
  })
})

describe('B4: adding credits', () => {
  test.each([
    ['?credits=5000&purchase_amount=50.00', undefined, 15_000],
    ['?credits=5000', undefined, 15_000],
    ['?credits=50&purchase_amount=0', undefined, 10_050],
    ['', { credits: 50, purchase_amount: '0.50', stripe_payment_id: 'pi_1' }, 10_050],
  ])('B4: credits are added by the operator: %s %o.', async (query, body, total) => {
    const org = await seed()
    const { status, json } = await send('POST', `/credits/${org.id}/add${query}`, MASTER_KEY, body)
    expect({ status, json }).toEqual({
      status: 200,
      json: {
        success: true,
        message: `Added ${total - 10_000} credits to pool`,
        total_credits: total,
        available_credits: total - 1_500,
      },
    })
  })

  test('B4: credits that are added for money are in the billing history.', async () => {
    const org = await seed()
    await send('POST', `/credits/${org.id}/add?credits=5000&purchase_amount=50.00`, MASTER_KEY)
    await send('POST', `/credits/${org.id}/add?credits=5000`, MASTER_KEY)
    const { json } = await send('GET', `/billing/${org.id}/history`, org.keys.olga)
    expect(json).toEqual([
      {
        id: UUID,
        org_id: org.id,
        event_type: 'credit_purchase',
        amount: '50.00',
        currency: 'USD',
        payment_status: 'paid',
        period_start: null,
        period_end: null,
        created_at: TIME,
      },
    ])
  })

  test.each([
    ['', undefined],
    ['?credits=0', undefined],
    ['?credits=-1000', undefined],
    ['?credits=1.5', undefined],
    ['?credits=ten', undefined],
    ['?credits=', undefined],
    ['?credits=99999999999999999999', undefined],
    ['?credits=10&purchase_amount=-5', undefined],
    ['?credits=10&purchase_amount=NaN', undefined],
    ['', { credits: null }],
    ['', { credits: '10', purchase_amount: [] }],
  ])('B4: %s %o is refused with 422 and adds nothing.', async (query, body) => {
    const org = await seed()
    const answer = await send('POST', `/credits/${org.id}/add${query}`, MASTER_KEY, body)
    expect(answer.status).toBe(422)
    expect(answer.json.detail).not.toMatch(/select|insert|constraint|numeric/i)
    expect((await send('GET', `/credits/${org.id}`, MASTER_KEY)).json.total_credits).toBe(10_000)
  })

  test('B4: credits are added by the operator alone where the configuration says nothing else.', async () => {
    const org = await seed()
    for (const user of ['olga', 'mark'] as const)
      refused(
        await send('POST', `/credits/${org.id}/add?credits=1`, org.keys[user]),
        403,
        'Not authorized to add credits',
      )
    for (const id of [randomUUID(), 'no-uuid']) {
      refused(await send('POST', `/credits/${id}/add?credits=1`, org.keys.olga), 403, 'Not authorized to add credits')
      refused(await send('POST', `/credits/${id}/add?credits=1`, MASTER_KEY), 404, 'Organization not found')
    }
  })

  test('B4: credits are added once under one Idempotency-Key, also when both requests are sent at once.', async () => {
    const org = await seed()
    const key = { 'idempotency-key': randomUUID() }
    const add = (credits: number) =>
      send('POST', `/credits/${org.id}/add?credits=${credits}`, MASTER_KEY, undefined, key)
    const answers = await Promise.all([add(100), add(100), add(100)])
    expect(answers.map(({ text }) => text)).toEqual(Array(3).fill(answers[0]?.text))
    refused(await add(200), 422, /^This Idempotency-Key was used for another request/)
    expect((await send('GET', `/credits/${org.id}`, MASTER_KEY)).json.total_credits).toBe(10_100)
  })

  test('B11: a request without an organization in the path goes to the one that is named.', async () => {
    const org = await seed()
    const { status, json } = await send('POST', `/credits/add?credits=5&org_id=${org.id}`, MASTER_KEY)
    expect({ status, total: json.total_credits }).toEqual({ status: 200, total: 10_005 })
    refused(await send('POST', '/credits/add?credits=5', org.keys.olga), 403, 'Not authorized to add credits')
  })
})

describe('B5: allocating credits', () => {
  const body = { user_id: 'mark', allocated_credits: 1000, reset_period: 'monthly', notes: 'Q1' }
  const shape = (orgId: string) => ({
    id: UUID,
    org_id: orgId,
    user_id: 'mark',
    user_email: null,
    user_name: null,
    allocated_credits: 1_500,
    used_credits: 0,
    remaining_credits: 1_500,
    reset_period: 'monthly',
    last_reset_date: TIME,
    next_reset_date: TIME,
    is_active: true,
    created_at: TIME,
  })

  test('B5: an allocation adds to what the member has.', async () => {
    const org = await seed()
    const { status, json } = await send('POST', `/credits/${org.id}/allocate`, org.keys.olga, body)
    expect({ status, json }).toEqual({ status: 200, json: shape(org.id) })
    const refund = { user_id: 'mark', allocated_credits: 50, notes: 'Refund for failed operation' }
    expect((await send('POST', `/credits/${org.id}/allocate`, org.keys.olga, refund)).json.allocated_credits).toBe(
      1_550,
    )
    const alias = { user_id: 'mark', credits: '25' }
    expect((await send('POST', `/credits/${org.id}/allocate`, org.keys.olga, alias)).json.allocated_credits).toBe(1_575)
    const nothing = { user_id: 'mark', credits: 0 }
    expect((await send('POST', `/credits/${org.id}/allocate`, org.keys.olga, nothing)).json.allocated_credits).toBe(
      1_575,
    )
  })

  test('B5: an allocation for good keeps what it says: never.', async () => {
    const org = await seed()
    const never = { user_id: 'mark', allocated_credits: 1, reset_period: 'never' }
    expect((await send('POST', `/credits/${org.id}/allocate`, org.keys.olga, never)).json).toMatchObject({
      reset_period: 'never',
      next_reset_date: null,
    })
  })

  test('B5: an allocation is refused for the right reason.', async () => {
    const org = await seed()
    const allocate = (sent: unknown, key = org.keys.olga, id = org.id) =>
      send('POST', `/credits/${id}/allocate`, key, sent)
    refused(await allocate(body, org.keys.mark), 403, 'Not authorized to allocate credits')
    refused(await allocate({ ...body, user_id: 'eve' }), 400, 'User is not a member of this organization')
    refused(
      await allocate({ ...body, allocated_credits: 8_501 }),
      400,
      'Insufficient credits in pool: 8500 available, 8501 needed',
    )
    refused(await allocate({ ...body, reset_period: 'hourly' }), 422, 'Period must be daily, weekly, monthly, or never')
    for (const credits of [-1, 1.5, 'x', null])
      expect((await allocate({ ...body, allocated_credits: credits })).status).toBe(422)
    expect((await allocate({ user_id: 'mark' })).status).toBe(422)
    expect((await allocate('{malformed')).status).toBe(400)
    expect((await allocate(undefined)).status).toBe(422)
    refused(await allocate(body, MASTER_KEY, randomUUID()), 404, 'Organization not found')
    expect((await send('GET', `/credits/${org.id}`, org.keys.olga)).json.allocated_credits).toBe(1_500)
  })

  test('B6: what was allocated is listed as an array, the newest first.', async () => {
    const org = await seed()
    await send('POST', `/credits/${org.id}/allocate`, org.keys.olga, body)
    const { status, json } = await send('GET', `/credits/${org.id}/allocations`, org.keys.olga)
    expect(status).toBe(200)
    expect(json.map(({ user_id }: { user_id: string }) => user_id)).toEqual(['mark', 'olga'])
    expect(json[0]).toEqual(shape(org.id))
    refused(
      await send('GET', `/credits/${org.id}/allocations`, org.keys.mark),
      403,
      'Not authorized to view allocations',
    )
  })

  test('Users see their own allocations, admins those of members.', async () => {
    const org = await seed()
    for (const key of [org.keys.mark, org.keys.olga, MASTER_KEY]) {
      const { status, json } = await send('GET', '/credits/user/mark', key)
      expect(status).toBe(200)
      expect(json.allocations.find(({ org_id }: { org_id: string }) => org_id === org.id)).toMatchObject({
        org_name: org.name,
        remaining_credits: 500,
      })
    }
    refused(await send('GET', '/credits/user/olga', org.keys.mark), 403, 'Not authorized to view allocations')
  })
})

describe('B7 to B9: subscriptions', () => {
  const body = (orgId: string) => ({
    org_id: orgId,
    subscription_plan: 'platform',
    monthly_price: 50.0,
    billing_cycle: 'monthly',
    trial_days: 7,
  })

  test('B7: a subscription is created in its trial, at the price of the catalogue.', async () => {
    const org = await withoutPlan()
    const { status, json } = await send('POST', '/subscriptions', org.keys.olga, {
      ...body(org.id),
      monthly_price: 0.01,
    })
    const created = {
      id: UUID,
      org_id: org.id,
      org_name: org.name,
      subscription_plan: 'platform',
      monthly_price: '50.00',
      billing_cycle: 'monthly',
      status: 'trialing',
      trial_ends_at: TIME,
      current_period_start: TIME,
      current_period_end: TIME,
      created_at: TIME,
    }
    expect({ status, json }).toEqual({ status: 200, json: created })
    // B8, a trial included, and by each of its names.
    for (const path of [org.id, `org/${org.id}`, json.id])
      expect((await send('GET', `/subscriptions/${path}`, org.keys.mark)).json).toEqual(created)
    refused(await send('POST', '/subscriptions', org.keys.olga, body(org.id)), 409, /has a subscription already/)
  })

  test('B7: a subscription that does not fit is refused.', async () => {
    const org = await withoutPlan()
    const create = (sent: unknown, key = org.keys.olga) => send('POST', '/subscriptions', key, sent)
    refused(await create(body(org.id), org.keys.mark), 403, 'Not authorized to create subscription')
    refused(await create(body(randomUUID())), 403, 'Not authorized to create subscription')
    refused(await create(body('no-uuid')), 403, 'Not authorized to create subscription')
    refused(await create(body(randomUUID()), MASTER_KEY), 404, 'Organization not found')
    refused(await create(body('no-uuid'), MASTER_KEY), 404, 'Organization not found')
    refused(await create({ ...body(org.id), subscription_plan: 'gold' }), 422, /Plan must be platform, byok, or hybrid/)
    for (const wrong of [
      {},
      undefined,
      { org_id: org.id },
      { ...body(org.id), billing_cycle: 'weekly' },
      { ...body(org.id), monthly_price: -1 },
      { ...body(org.id), monthly_price: 0 },
      { ...body(org.id), trial_days: -1 },
    ])
      expect((await create(wrong)).status).toBe(422)
    const alias = await create({ org_id: org.id, plan_code: 'byok', org_name: 'x', billing_email: 'a@b.c' })
    expect(alias.json).toMatchObject({ subscription_plan: 'byok', monthly_price: '30.00', status: 'active' })
  })

  test('B9: the plan goes up and down by its names, and the history says so.', async () => {
    const org = await withoutPlan()
    refused(await send('GET', `/subscriptions/${org.id}`, org.keys.mark), 404, 'No active subscription found')
    refused(
      await send('PUT', `/subscriptions/${org.id}/upgrade?new_plan=hybrid`, org.keys.olga),
      404,
      'No active subscription found',
    )
    await send('POST', '/subscriptions', org.keys.olga, { ...body(org.id), trial_days: null })
    const up = await send('PUT', `/subscriptions/${org.id}/upgrade?new_plan=hybrid`, org.keys.olga)
    expect({ status: up.status, json: up.json }).toEqual({
      status: 200,
      json: {
        success: true,
        message: 'Subscription upgraded to hybrid',
        old_plan: 'platform',
        new_plan: 'hybrid',
        old_price: 50,
        new_price: 99,
      },
    })
    const down = await send('PUT', `/subscriptions/${org.id}/upgrade`, org.keys.olga, { new_plan_code: 'byok' })
    expect(down.json.message).toBe('Subscription downgraded to byok')
    const { json: current } = await send('GET', `/subscriptions/${org.id}`, org.keys.olga)
    const same = await send('PUT', `/subscriptions/${current.id}`, org.keys.olga, { subscription_plan: 'byok' })
    expect(same.json.message).toBe('Subscription is on byok already')
    refused(await send('PUT', `/subscriptions/${org.id}/upgrade?new_plan=gold`, org.keys.olga), 400, 'Invalid plan')
    refused(
      await send('PUT', `/subscriptions/${org.id}/upgrade?new_plan=byok`, org.keys.mark),
      403,
      'Not authorized to upgrade subscription',
    )
    expect((await send('PUT', `/subscriptions/${org.id}/upgrade`, org.keys.olga)).status).toBe(422)
    const ended = await send('DELETE', `/subscriptions/${current.id}`, org.keys.olga)
    expect(ended.json).toMatchObject({ id: current.id, status: 'canceled' })
    const { json: history } = await send('GET', `/${org.id}/history?limit=3`, org.keys.olga)
    expect(history.map(({ event_type }: { event_type: string }) => event_type)).toEqual([
      'subscription_canceled',
      'subscription_downgraded',
      'subscription_upgraded',
    ])
  })
})

describe('B10: dashboards', () => {
  test('B10: the dashboards of an organization have both spellings of its plan.', async () => {
    const org = await withoutPlan()
    await send('POST', '/subscriptions', org.keys.olga, {
      org_id: org.id,
      subscription_plan: 'platform',
      monthly_price: 50,
    })
    await product.db.pool.query("select deduct_credits($1, 'mark', 103, 'valuation')", [org.id])
    const { status, json } = await send('GET', `/billing/org/${org.id}`, org.keys.olga)
    expect({ status, json }).toEqual({
      status: 200,
      json: {
        organization: { id: org.id, name: org.name, display_name: null, max_seats: 1, status: 'active' },
        subscription: {
          plan: 'platform',
          subscription_plan: 'platform',
          monthly_price: 50,
          status: 'active',
          current_period_end: TIME,
          end_date: TIME,
        },
        credit_pool: {
          total_credits: 10_000,
          allocated_credits: 1_500,
          used_credits: 103,
          available_credits: 8_500,
          monthly_refresh_amount: 0,
        },
        user_allocations: [
          {
            user_id: 'mark',
            allocated_credits: 500,
            used_credits: 103,
            remaining_credits: 397,
            reset_period: 'monthly',
          },
          {
            user_id: 'olga',
            allocated_credits: 1_000,
            used_credits: 0,
            remaining_credits: 1_000,
            reset_period: 'monthly',
          },
        ],
        usage_stats_30_days: { total_credits_used: '103', active_users: 1, total_requests: 1 },
      },
    })
    refused(await send('GET', `/billing/org/${org.id}`, org.keys.mark), 403, 'Not authorized to view org billing')
    refused(await send('GET', `/billing/org/${randomUUID()}`, MASTER_KEY), 404, 'Organization not found')
  })

  test('B10: only the operator sees the dashboards of the system.', async () => {
    const org = await withoutPlan()
    await send('POST', '/subscriptions', org.keys.olga, {
      org_id: org.id,
      subscription_plan: 'hybrid',
      monthly_price: 99,
    })
    await product.db.pool.query("select deduct_credits($1, 'mark', 7, 'valuation')", [org.id])
    const { status, json } = await send('GET', '/billing/system', MASTER_KEY)
    expect(status).toBe(200)
    expect(Object.keys(json)).toEqual([
      'organizations',
      'revenue_metrics',
      'subscription_distribution',
      'top_organizations_by_usage',
    ])
    expect(json.organizations.find(({ org_id }: { org_id: string }) => org_id === org.id)).toEqual({
      org_id: org.id,
      org_name: org.name,
      subscription_plan: 'hybrid',
      monthly_price: 99,
      subscription_status: 'active',
      total_credits: 10_000,
      used_credits: 7,
      member_count: 2,
      lifetime_spent: 0,
    })
    expect(json.revenue_metrics).toEqual({
      total_mrr: expect.any(Number),
      total_arr: json.revenue_metrics.total_mrr * 12,
      active_subscriptions: expect.any(Number),
    })
    expect(json.subscription_distribution).toContainEqual({ plan: 'hybrid', count: 1, mrr: 99 })
    expect(json.top_organizations_by_usage).toContainEqual({
      org_id: org.id,
      total_credits_30_days: '7',
      user_count: 1,
    })
    refused(await send('GET', '/billing/system', org.keys.olga), 403, 'System admin access required')
  })

  test('B10: only admins see the history, within its bounds.', async () => {
    const org = await seed()
    refused(
      await send('GET', `/billing/${org.id}/history`, org.keys.mark),
      403,
      'Not authorized to view billing history',
    )
    refused(await send('GET', '/billing/user/history', org.keys.mark), 403, 'Not authorized to view billing history')
    for (const query of ['limit=0', 'limit=501', 'offset=-1'])
      expect((await send('GET', `/billing/${org.id}/history?${query}`, org.keys.olga)).status).toBe(422)
  })
})
