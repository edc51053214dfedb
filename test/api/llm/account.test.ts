/** L7 to L9 and what else callers of Ops-Center ask beside their calls. */
import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { balances, close, hold } from '../../support/books.ts'
import { useProduct } from '../../support/product.ts'
import { MASTER_KEY } from '../../support/tollgate.ts'

const product = useProduct()

async function send(
  method: string,
  path: string,
  key: string | null,
  body?: unknown,
): Promise<{ status: number; json: ReturnType<typeof JSON.parse> }> {
  const response = await fetch(`${product.tollgate.url}${path}`, {
    method,
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: response.status, json: await response.json() }
}

const seed = () => product.db.seedOrganization({ credits: 1_000, users: { alice: 400, mark: 100 } })

async function charge(orgId: string, credits: number) {
  const { callId } = await hold(product.db.pool, orgId, { output: credits })
  await close(product.db.pool, orgId, callId, credits)
  return callId
}

describe('L7: credits', () => {
  test('L7: credits are what is left, without what running calls hold.', async () => {
    const org = await seed()
    await charge(org.id, 0.5)
    const { callId } = await hold(product.db.pool, org.id, { output: 100 })
    for (const path of ['/api/v1/llm/credits', '/api/v1/credits'])
      expect(await send('GET', path, org.keys.alice)).toEqual({
        status: 200,
        json: {
          user_id: 'alice',
          credits_remaining: 299.5,
          tier: 'platform',
          monthly_cap: null,
          power_level: 'balanced',
        },
      })
    // With what Ops-Center's other reader asks for beside.
    expect(await send('GET', '/api/v1/credits/balance', org.keys.alice)).toEqual({
      status: 200,
      json: {
        user_id: 'alice',
        balance: '299.5',
        allocated_monthly: '400',
        bonus_credits: '0',
        free_tier_used: '0',
        reset_date: expect.stringMatching(/Z$/),
        last_updated: expect.stringMatching(/Z$/),
        created_at: expect.stringMatching(/Z$/),
        tier: 'platform',
        credits_remaining: 299.5,
        monthly_cap: null,
        power_level: 'balanced',
      },
    })
    await close(product.db.pool, org.id, callId, null)
  })

  test('L7: credits are allocated by an admin, out of the pool, and never below zero.', async () => {
    const org = await seed()
    const allocate = (key: string | null, body: object) => send('POST', '/api/v1/credits/allocate', key, body)
    const body = { user_id: 'mark', amount: '50.5', source: 'bonus' }
    expect(await allocate(org.keys.alice, body)).toMatchObject({
      status: 200,
      json: { user_id: 'mark', balance: '150.5', allocated_monthly: '150.5' },
    })
    expect((await allocate(null, body)).status).toBe(401)
    expect(await allocate(org.keys.mark, body)).toMatchObject({
      status: 403,
      json: { error: { code: 'permission_denied' } },
    })
    for (const amount of [-1, 0, '1e3', 0.0000001])
      expect((await allocate(org.keys.alice, { ...body, amount })).status).toBe(422)
    expect((await allocate(org.keys.alice, { user_id: 'mark', amount: 1 })).status).toBe(422)
    expect(await allocate(org.keys.alice, { ...body, user_id: 'nobody' })).toMatchObject({
      status: 400,
      json: { detail: 'User is not a member of this organization' },
    })
    expect(await allocate(org.keys.alice, { ...body, amount: 10_000 })).toMatchObject({
      status: 400,
      json: { error: { code: 'INSUFFICIENT_CREDITS' } },
    })
    expect((await allocate(org.keys.alice, { ...body, org_id: randomUUID() })).status).toBe(403)
    expect((await allocate(MASTER_KEY, { ...body, org_id: 'nothing' })).status).toBe(404)
    expect((await allocate(MASTER_KEY, { ...body, org_id: org.id })).json.balance).toBe('201')
  })

  test('L7: credits are deducted by an admin or a service, and a row says for what.', async () => {
    const org = await seed()
    const deduct = (key: string | null, body: object) => send('POST', '/api/v1/credits/deduct', key, body)
    const body = {
      user_id: 'mark',
      amount: 12.25,
      service: 'tts',
      model: 'tts-1',
      cost_breakdown: { seconds: 3 },
      request_id: 'r1',
    }
    const first = await deduct(org.keys.alice, body)
    expect(first).toMatchObject({ status: 200, json: { user_id: 'mark', balance: '87.75' } })
    // The same request once more is the same charge.
    expect((await deduct(org.keys.alice, body)).json.balance).toBe('87.75')
    const { rows } = await product.db.pool.query(
      'select service_type, service_name, credits_used, request_metadata from credit_usage_attribution where org_id = $1',
      [org.id],
    )
    expect(rows).toEqual([
      {
        service_type: 'tts',
        service_name: 'tts-1',
        credits_used: '12.250000',
        request_metadata: { cost_breakdown: { seconds: 3 } },
      },
    ])
    expect((await deduct(null, body)).status).toBe(401)
    expect((await deduct(org.keys.mark, body)).status).toBe(403)
    expect((await deduct(org.keys.alice, { ...body, amount: -5 })).status).toBe(422)
    expect(await deduct(org.keys.alice, { ...body, amount: 500, request_id: 'r2' })).toMatchObject({
      status: 402,
      json: { detail: 'Insufficient credits: 87.75 available, 500 needed' },
    })
    expect((await deduct(org.keys.alice, { ...body, user_id: 'nobody', request_id: 'r3' })).status).toBe(403)
  })

  test('L7: only the operator sees the credits of another user.', async () => {
    const org = await seed()
    const path = `/api/v1/llm/credits?user_id=alice&org_id=${org.id}`
    expect((await send('GET', path, MASTER_KEY)).json).toMatchObject({ user_id: 'alice', credits_remaining: 400 })
    expect((await send('GET', path, org.keys.mark)).status).toBe(403)
    expect((await send('GET', '/api/v1/llm/credits?user_id=x&org_id=nothing', MASTER_KEY)).status).toBe(404)
    for (const open of [
      '/api/v1/llm/credits',
      '/api/v1/llm/credits/history',
      '/api/v1/llm/usage',
      '/api/v1/llm/models',
    ])
      expect((await send('GET', open, null)).status).toBe(401)
  })

  test('L7: credits are not given to a user without an allocation.', async () => {
    const org = await seed()
    await product.db.pool.query("select tollgate.ledger_end_allocation($1, 'mark', 'admin')", [org.id])
    expect(await send('GET', '/api/v1/llm/credits', org.keys.mark)).toMatchObject({
      status: 403,
      json: { error: { code: 'no_allocation' } },
    })
  })

  test('L7: credits have a history of all that moved them, with refunds, page by page.', async () => {
    const org = await seed()
    const callId = await charge(org.id, 30)
    const refund = await send('POST', `/api/v1/admin/calls/${callId}/refunds`, MASTER_KEY, {
      credits: 12.5,
      reason: 'wrong model',
    })
    expect(refund).toEqual({
      status: 201,
      json: {
        success: true,
        call_id: callId,
        org_id: org.id,
        user_id: 'alice',
        refunded_credits: 12.5,
        refundable_credits: 17.5,
      },
    })
    const { json } = await send('GET', '/api/v1/llm/credits/history', org.keys.alice)
    expect(json).toMatchObject({
      transactions: [
        { transaction_type: 'refund', amount: 12.5, request_id: callId, note: 'wrong model' },
        { transaction_type: 'usage', amount: -30, model: 'gpt-5', service_type: 'llm_inference' },
        { transaction_type: 'allocation', amount: 400 },
      ],
      total: 3,
      limit: 50,
      offset: 0,
    })
    const sum = json.transactions.reduce((all: number, { amount }: { amount: number }) => all + amount, 0)
    expect((await send('GET', '/api/v1/llm/credits', org.keys.alice)).json.credits_remaining).toBe(sum)
    const second = await send('GET', '/api/v1/llm/credits/history?limit=1&offset=1', org.keys.alice)
    expect(second.json).toMatchObject({ transactions: [{ amount: -30 }], total: 3, limit: 1, offset: 1 })
    expect((await send('GET', '/api/v1/llm/credits/history?limit=1001', org.keys.alice)).status).toBe(422)
    expect((await send('GET', `/v1/calls/${callId}`, org.keys.alice)).json).toMatchObject({
      credits: '30',
      refunded_credits: '12.5',
    })
    expect((await balances(product.db.pool, org.id)).pool).toMatchObject({ total: '1012.5', used: '30' })
  })
})

describe('A refund', () => {
  test('Only the operator may refund, with a reason, and at most the charge.', async () => {
    const org = await seed()
    const callId = await charge(org.id, 30)
    const path = `/api/v1/admin/calls/${callId}/refunds`
    expect((await send('POST', path, org.keys.alice, { reason: 'please' })).status).toBe(403)
    expect((await send('POST', path, null, { reason: 'please' })).status).toBe(401)
    expect((await send('POST', path, MASTER_KEY, {})).status).toBe(422)
    expect((await send('POST', path, MASTER_KEY, { reason: 'x', credits: -1 })).status).toBe(422)
    expect(await send('POST', path, MASTER_KEY, { reason: 'x', credits: 31 })).toMatchObject({
      status: 422,
      json: { error: { code: 'refund_too_large', refundable: '30' } },
    })
    expect((await send('POST', path.replace(callId, randomUUID()), MASTER_KEY, { reason: 'x' })).status).toBe(404)
  })
})

describe('L8: usage', () => {
  test('L8: usage is one object that both kinds of callers can read.', async () => {
    const org = await seed()
    await charge(org.id, 10)
    await charge(org.id, 5)
    expect(await send('GET', '/api/v1/llm/usage?days=7', org.keys.alice)).toEqual({
      status: 200,
      json: {
        total_providers: 1,
        active_models: 1,
        total_calls: 2,
        total_requests: 2,
        total_tokens: 0,
        total_cost: 15,
        avg_cost_per_request: 7.5,
        providers: [
          {
            provider: 'unknown',
            provider_id: 'unknown',
            provider_name: 'unknown',
            requests: 2,
            tokens: 0,
            cost: 15,
            avg_latency_ms: null,
            unique_users: 1,
          },
        ],
        period_days: 7,
      },
    })
    expect((await send('GET', '/api/v1/llm/usage', org.keys.mark)).json).toMatchObject({
      total_requests: 0,
      total_cost: 0,
      providers: [],
    })
  })
})

test('The tokens of calls are in their usage and in the history.', async () => {
  const org = await seed()
  const body = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] }
  for (let n = 0; n < 2; n += 1)
    expect((await send('POST', '/v1/chat/completions', org.keys.alice, body)).status).toBe(200)
  expect((await send('GET', '/api/v1/llm/usage', org.keys.alice)).json).toMatchObject({
    total_tokens: 32,
    providers: [{ provider: 'openai', tokens: 32 }],
  })
  const { transactions } = (await send('GET', '/api/v1/llm/credits/history?limit=1', org.keys.alice)).json
  expect(transactions).toMatchObject([{ model: 'gpt-4o-mini', provider: 'openai', tokens_used: 16 }])
})

describe('L9: models', () => {
  test('L9: models are listed with their prices.', async () => {
    const org = await seed()
    const { json } = await send('GET', '/api/v1/llm/models', org.keys.alice)
    expect(json.object).toBe('list')
    expect(json.data.find(({ id }: { id: string }) => id === 'gpt-4o-mini')).toEqual({
      id: 'gpt-4o-mini',
      object: 'model',
      created: 0,
      owned_by: 'openai',
      tier: 'platform',
      name: 'gpt-4o-mini',
      display_name: 'gpt-4o-mini',
      provider: 'openai',
      provider_id: 'openai',
      pricing: { input: 0.15, output: 0.6 },
      context_length: 128_000,
      enabled: true,
    })
    expect((await send('GET', '/api/v1/llm/models?search=exact', org.keys.alice)).json.data).toMatchObject([
      { id: 'exact', pricing: { input: 0, output: 20 } },
    ])
    expect((await send('GET', '/api/v1/llm/models?limit=1&offset=1', org.keys.alice)).json.data).toHaveLength(1)
  })

  test('L9: models are sorted by provider, with the price of the plan.', async () => {
    const org = await seed()
    const { json } = await send('GET', '/api/v1/llm/models/categorized', org.keys.alice)
    expect(json).toMatchObject({
      byok_models: [],
      platform_models: [{ provider: 'openai', count: 4, tier_markup: 50, source: 'config' }],
      summary: { total_models: 4, byok_count: 0, platform_count: 4, has_byok_keys: false, byok_providers: [] },
    })
    expect(json.platform_models[0].models.find(({ id }: { id: string }) => id === 'gpt-4o-mini')).toMatchObject({
      cost_per_1m_input: 0.15,
      cost_per_1m_output: 0.6,
      tier_pricing: { input: 0.225, output: 0.9, markup_percentage: 50 },
    })
  })

  test('L9: anybody may see a short list of models.', async () => {
    const { status, json } = await send('GET', '/api/v1/llm/models/curated?app=loopnet', null)
    expect(status).toBe(200)
    expect(json).toMatchObject({
      object: 'list',
      app: 'loopnet',
      source: 'config',
      summary: { total: 4, categories: 1 },
    })
  })
})

describe('Without Stripe', () => {
  test('Without Stripe a purchase is refused with 501 and never answered as if it were one.', async () => {
    const org = await seed()
    for (const [path, body] of [
      ['/api/v1/llm/credits/purchase', { amount: 10, stripe_token: 'tok' }],
      ['/api/v1/webhooks/stripe', {}],
    ] as const)
      expect(await send('POST', path, org.keys.alice, body)).toMatchObject({
        status: 501,
        json: { error: { code: 'payments_not_configured' } },
      })
    expect((await balances(product.db.pool, org.id)).pool.total).toBe('1000')
  })
})

describe('Health', () => {
  test.each(['/api/v1/llm/health', '/api/v1/health', '/api/v1/system/status'])('%s reports health.', async (path) => {
    expect(await send('GET', path, null)).toEqual({
      status: 200,
      json: { status: 'healthy', litellm_proxy: 'up', timestamp: expect.any(String) },
    })
  })
})
