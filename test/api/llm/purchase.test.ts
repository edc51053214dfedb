import { randomBytes, randomUUID } from 'node:crypto'
import { request } from 'undici'
import { afterAll, describe, expect, test } from 'vitest'
import { balances } from '../../support/books.ts'
import { useProduct } from '../../support/product.ts'
import { paidSession, sendEvent, startStripe, WEBHOOK_SECRET } from '../../support/stripe.ts'
import { MASTER_KEY } from '../../support/tollgate.ts'

const stripe = await startStripe()
afterAll(() => stripe.close())
const product = useProduct(() => ({
  tollgate: {
    credits: { add: 'payment' },
    public_url: 'https://gate.example.com',
    stripe: { secret_key: 'sk_test_scripted', webhook_secret: WEBHOOK_SECRET, api_base: stripe.url },
  },
}))

async function post(
  path: string,
  key: string,
  body: unknown,
): Promise<{ status: number; json: ReturnType<typeof JSON.parse> }> {
  const response = await fetch(`${product.tollgate.url}/api/v1${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: response.status, json: await response.json() }
}

const seed = () => product.db.seedOrganization({ credits: 1_000, users: { olga: 400, mark: 100 } })
const event = (type: string, object: Record<string, unknown>, secret?: string) =>
  sendEvent(product.tollgate.url, type, object, secret)

async function buy(amount: number) {
  const org = await seed()
  await post('/llm/credits/purchase', org.keys.olga, { amount })
  return { org, ...paidSession(stripe, amount * 100) }
}

const pool = async (orgId: string) => (await balances(product.db.pool, orgId)).pool

describe('Buying credits', () => {
  test.each([
    [10, 10_000],
    [50, 55_000],
    [100, 120_000],
  ])(
    'Buying credits for $%i opens a page of Stripe, and %i credits are there once it is paid.',
    async (amount, credits) => {
      const org = await seed()
      const { status, json } = await post('/llm/credits/purchase', org.keys.olga, { amount, stripe_token: 'tok_visa' })
      expect({ status, json }).toEqual({
        status: 200,
        json: {
          success: true,
          status: 'requires_payment',
          checkout_url: expect.stringMatching(/^https:\/\/checkout\.stripe\.test\/cs_/),
          transaction_id: expect.stringMatching(/^cs_/),
          credits,
          credits_added: 0,
          new_balance: 400,
        },
      })
      expect(stripe.sessions.at(-1)).toMatchObject({
        mode: 'payment',
        'line_items[0][price_data][unit_amount]': String(amount * 100),
        'metadata[tollgate_org_id]': org.id,
        'payment_intent_data[metadata][tollgate_org_id]': org.id,
      })
      expect((await pool(org.id)).total).toBe('1000')
      expect(await event('checkout.session.completed', paidSession(stripe, amount * 100).session)).toEqual({
        status: 200,
        outcome: 'booked',
      })
      expect((await pool(org.id)).total).toBe(String(1_000 + credits))
    },
  )

  test('A purchase of a sum that is not sold is refused.', async () => {
    const org = await seed()
    for (const amount of [11, 0, -10, 'ten', 9.999, 10.001, '10.004', '1e1', '0x0a', ' 10', '', 1e21])
      expect(await post('/llm/credits/purchase', org.keys.olga, { amount })).toMatchObject({
        status: 400,
        json: { detail: 'Invalid amount. Valid amounts: [10.0, 50.0, 100.0]' },
      })
  })

  test('A purchase leads back to the address that the operator stated, whatever host the request names, or to the page that the request asks for.', async () => {
    const org = await seed()
    await request(`${product.tollgate.url}/api/v1/llm/credits/purchase`, {
      method: 'POST',
      headers: { authorization: `Bearer ${org.keys.olga}`, 'content-type': 'application/json', host: 'evil.example' },
      body: '{"amount":"10.00"}',
    })
    expect(stripe.sessions.at(-1)).toMatchObject({
      success_url: 'https://gate.example.com/docs',
      cancel_url: 'https://gate.example.com/docs',
      'line_items[0][price_data][unit_amount]': '1000',
    })
    const pages = { success_url: 'https://shop.example/paid', cancel_url: 'https://shop.example/back' }
    await post('/llm/credits/purchase', org.keys.olga, { amount: 10, ...pages })
    expect(stripe.sessions.at(-1)).toMatchObject(pages)
    for (const success_url of ['javascript:alert(1)', 'ftp://shop.example', 'paid.html'])
      expect((await post('/llm/credits/purchase', org.keys.olga, { amount: 10, success_url })).status).toBe(422)
  })

  test('A purchase by a user who is alone in an organization gives the credits to that user.', async () => {
    const org = await product.db.seedOrganization({ credits: 0, users: { ida: 0 } })
    await post('/llm/credits/purchase', org.keys.ida, { amount: 10 })
    await event('checkout.session.completed', paidSession(stripe, 1_000).session)
    expect(await balances(product.db.pool, org.id)).toMatchObject({
      pool: { total: '10000', allocated: '10000' },
      users: { ida: { allocated: '10000' } },
    })
  })
})

describe('A webhook', () => {
  test('A webhook that comes twice, and twice at once, books once.', async () => {
    const { org, session } = await buy(10)
    const outcomes = await Promise.all([1, 2, 3].map(() => event('checkout.session.completed', session)))
    expect(outcomes.map(({ outcome }) => outcome).sort()).toEqual(['booked', 'known', 'known'])
    expect(await event('checkout.session.async_payment_succeeded', session)).toEqual({ status: 200, outcome: 'known' })
    expect((await pool(org.id)).total).toBe('11000')
    const history = await product.db.pool.query(
      'select event_type, amount, payment_status, payment_method from org_billing_history where org_id = $1',
      [org.id],
    )
    expect(history.rows).toEqual([
      { event_type: 'credit_purchase', amount: '10.00', payment_status: 'paid', payment_method: 'stripe' },
    ])
  })

  test('A webhook that is not signed, or is signed by somebody else, books nothing.', async () => {
    const { org, session } = await buy(10)
    expect((await event('checkout.session.completed', session, 'whsec_other')).status).toBe(400)
    const unsigned = await fetch(`${product.tollgate.url}/api/v1/webhooks/stripe`, { method: 'POST', body: '{}' })
    expect(unsigned.status).toBe(400)
    expect((await pool(org.id)).total).toBe('1000')
  })

  test.each([
    ['of another installation', { metadata: { tollgate_ledger_id: randomUUID() } }],
    ['of another product', { metadata: {} }],
    ['that is not paid yet', { payment_status: 'unpaid' }],
    ['in another currency', { currency: 'eur' }],
  ])('A webhook about a session %s is ignored.', async (_, change: Record<string, unknown>) => {
    const { org, session } = await buy(10)
    const metadata = { ...session.metadata, ...(change.metadata as object) }
    const changed = {
      ...session,
      ...change,
      metadata: 'metadata' in change && Object.keys(change.metadata as object).length === 0 ? {} : metadata,
    }
    expect(await event('checkout.session.completed', changed)).toEqual({ status: 200, outcome: 'ignored' })
    expect((await pool(org.id)).total).toBe('1000')
  })

  test('A webhook of a kind that is not handled is ignored.', async () => {
    expect(await event('customer.created', { id: 'cus_1' })).toEqual({ status: 200, outcome: 'ignored' })
  })
})

describe('Money that goes back', () => {
  test('Money that goes back deducts the refunded part of the credits, as far as they are not allocated.', async () => {
    const { org, session, metadata, payment_intent } = await buy(10)
    await event('checkout.session.completed', session)
    const charge = { id: 'ch_1', payment_intent, metadata }
    expect(await event('charge.refunded', { ...charge, amount_refunded: 250 })).toEqual({
      status: 200,
      outcome: 'booked',
    })
    expect((await pool(org.id)).total).toBe('8500')
    await event('charge.refunded', { ...charge, amount_refunded: 250 })
    expect((await pool(org.id)).total).toBe('8500')
    await event('charge.refunded', { ...charge, amount_refunded: 1_000 })
    expect((await pool(org.id)).total).toBe('1000')
  })

  test('The event of money that goes back before the purchase is booked is sent again by Stripe, so that nothing is lost.', async () => {
    const { org, session, metadata, payment_intent } = await buy(10)
    const refund = () => event('charge.refunded', { id: 'ch_1', payment_intent, metadata, amount_refunded: 1_000 })
    expect((await refund()).status).toBe(409)
    await event('checkout.session.completed', session)
    expect((await refund()).outcome).toBe('booked')
    expect((await pool(org.id)).total).toBe('1000')
  })

  test('Money that goes back after the credits were given away suspends the organization, and says what is owed.', async () => {
    const { org, session, payment_intent } = await buy(10)
    await event('checkout.session.completed', session)
    await product.db.pool.query("select allocate_credits_to_user($1, 'mark', 9000)", [org.id])
    await event('charge.dispute.created', { id: 'dp_1', payment_intent, amount: 1_000, status: 'needs_response' })
    expect(await pool(org.id)).toMatchObject({ total: '9500', allocated: '9500' })
    const { rows } = await product.db.pool.query(
      `select o.status, trim_scale(p.taken_credits)::text as taken, trim_scale(p.owed_credits)::text as owed
      from tollgate.payments p join organizations o on o.id = p.org_id where p.org_id = $1`,
      [org.id],
    )
    expect(rows).toEqual([{ status: 'suspended', taken: '1500', owed: '8500' }])
    await event('charge.dispute.closed', { id: 'dp_1', payment_intent, amount: 1_000, status: 'won' })
    expect((await pool(org.id)).total).toBe('11000')
  })

  test('Money that goes back from a payment that has nothing to do with us is ignored.', async () => {
    const stranger = { id: 'ch_9', payment_intent: 'pi_stranger', metadata: {}, amount_refunded: 100 }
    expect(await event('charge.refunded', stranger)).toEqual({ status: 200, outcome: 'ignored' })
  })
})

describe('Adding credits by a payment', () => {
  const payment = (orgId: string, change = {}) => {
    const id = `pi_${randomBytes(6).toString('hex')}`
    stripe.payments.set(id, {
      id,
      object: 'payment_intent',
      status: 'succeeded',
      currency: 'usd',
      amount_received: 5_000,
      metadata: { org_id: orgId },
      ...change,
    })
    return id
  }

  test('An admin adds credits by a payment that Stripe confirms, once.', async () => {
    const org = await seed()
    const body = { credits: 55_000, purchase_amount: 50, stripe_payment_id: payment(org.id) }
    expect(await post(`/org-billing/credits/${org.id}/add`, org.keys.olga, body)).toMatchObject({
      status: 200,
      json: { success: true, total_credits: 56_000 },
    })
    expect(await post(`/org-billing/credits/${org.id}/add`, org.keys.olga, body)).toMatchObject({
      status: 409,
      json: { error: { code: 'payment_used' } },
    })
    expect((await post(`/org-billing/credits/${org.id}/add`, org.keys.mark, body)).status).toBe(403)
    expect((await post(`/org-billing/credits/${org.id}/add`, MASTER_KEY, { credits: 1 })).status).toBe(200)
    expect((await pool(org.id)).total).toBe('56001')
  })

  test.each([
    ['no payment', () => ({ credits: 10 })],
    ['one Stripe does not know', () => ({ credits: 10, stripe_payment_id: 'pi_nothing' })],
    ['an id that is none', () => ({ credits: 10, stripe_payment_id: '../charges' })],
    ['one of another organization', () => ({ credits: 10, stripe_payment_id: payment(randomUUID()) })],
    [
      'one that has not succeeded',
      (id: string) => ({ credits: 10, stripe_payment_id: payment(id, { status: 'processing' }) }),
    ],
    ['more credits than it buys', (id: string) => ({ credits: 55_001, stripe_payment_id: payment(id) })],
    [
      'more dollars than it is',
      (id: string) => ({ credits: 10, purchase_amount: 50.01, stripe_payment_id: payment(id) }),
    ],
  ])('Adding credits by a payment is refused with %s.', async (_, body: (id: string) => unknown) => {
    const org = await seed()
    expect(await post(`/org-billing/credits/${org.id}/add`, org.keys.olga, body(org.id))).toMatchObject({
      status: 402,
      json: { error: { code: 'PAYMENT_REQUIRED' } },
    })
    expect((await pool(org.id)).total).toBe('1000')
  })
})
