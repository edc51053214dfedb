/** Events about a dispute, in every order: the credits end up where the money does. */
import { afterAll, describe, expect, test } from 'vitest'
import { balances } from '../../support/books.ts'
import { useProduct } from '../../support/product.ts'
import { paidSession, sendEvent, startStripe, WEBHOOK_SECRET } from '../../support/stripe.ts'

const stripe = await startStripe()
afterAll(() => stripe.close())
const product = useProduct(() => ({
  tollgate: {
    // No public_url: where a buyer goes afterwards has to be stated.
    stripe: { secret_key: 'sk_test_scripted', webhook_secret: WEBHOOK_SECRET, api_base: stripe.url },
  },
}))

const purchase = (key: string, body: unknown, headers = {}) =>
  fetch(`${product.tollgate.url}/api/v1/llm/credits/purchase`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
const event = (type: string, object: Record<string, unknown>) => sendEvent(product.tollgate.url, type, object)

/** 10,000 credits for $10, paid and not booked yet. */
async function buy() {
  const org = await product.db.seedOrganization({ credits: 1_000, users: { olga: 400, mark: 100 } })
  await purchase(org.keys.olga, { amount: 10, success_url: 'https://shop.example/paid' })
  return { ...paidSession(stripe, 1_000), org }
}

const book = (session: Record<string, unknown>) => event('checkout.session.completed', session)
const totalOf = async ({ id }: { id: string }) => (await balances(product.db.pool, id)).pool.total

const CREATED = { type: 'charge.dispute.created', status: 'needs_response' }
const WITHDRAWN = { type: 'charge.dispute.funds_withdrawn', status: 'needs_response' }
const UPDATED = { type: 'charge.dispute.updated', status: 'under_review' }
const REINSTATED = { type: 'charge.dispute.funds_reinstated', status: 'won' }
const WON = { type: 'charge.dispute.closed', status: 'won' }
const LOST = { type: 'charge.dispute.closed', status: 'lost' }
const INQUIRY = { type: 'charge.dispute.created', status: 'warning_needs_response' }
const INQUIRY_CLOSED = { type: 'charge.dispute.closed', status: 'warning_closed' }

function orders<Item>(items: readonly Item[]): Item[][] {
  if (items.length < 2) return [[...items]]
  return items.flatMap((item, index) =>
    orders(items.filter((_, other) => other !== index)).map((rest) => [item, ...rest]),
  )
}

describe('A dispute', () => {
  test.each([
    ['that was won leaves the credits', [CREATED, WITHDRAWN, WON, REINSTATED], 0],
    ['that was lost takes them', [CREATED, WITHDRAWN, UPDATED, LOST], 10_000],
    ['that is only asked about leaves them', [INQUIRY, INQUIRY_CLOSED], 0],
    ['that began as a question takes them', [INQUIRY, WITHDRAWN, LOST], 10_000],
  ])('A dispute %s, whatever order its events come in.', async (_, events, taken) => {
    const { org } = await buy()
    const all = orders(events)
    await Promise.all(
      all.map(async (order) => {
        const { session, payment_intent } = paidSession(stripe, 1_000)
        await book(session)
        const dispute = { id: `dp_${payment_intent}`, payment_intent, amount: 1_000 }
        for (const { type, status } of order) expect((await event(type, { ...dispute, status })).status).toBe(200)
        const { rows } = await product.db.pool.query(
          'select taken_credits::int as taken from tollgate.payments where payment_intent = $1',
          [payment_intent],
        )
        expect({ order, rows }).toEqual({ order, rows: [{ taken }] })
      }),
    )
    expect(await totalOf(org)).toBe(String(1_000 + all.length * (10_000 - taken)))
  })

  test('A second dispute of the same payment is another dispute.', async () => {
    const { org, session, payment_intent } = await buy()
    await book(session)
    for (const [id, amount] of [
      ['first', 300],
      ['second', 200],
    ])
      await event(CREATED.type, { id: `dp_${id}_${payment_intent}`, payment_intent, amount, status: CREATED.status })
    expect(await totalOf(org)).toBe('6000')
    await event(WON.type, { id: `dp_first_${payment_intent}`, payment_intent, amount: 300, status: 'won' })
    expect(await totalOf(org)).toBe('9000')
  })

  test('A dispute of a payment that is not booked yet is sent again by Stripe, once Stripe says that the payment is ours.', async () => {
    const { org, session, payment_intent, metadata } = await buy()
    const dispute = { id: `dp_${payment_intent}`, payment_intent, amount: 1_000, status: 'needs_response' }
    expect(await event(CREATED.type, dispute)).toEqual({ status: 200, outcome: 'ignored' })
    stripe.payments.set(payment_intent, { id: payment_intent, object: 'payment_intent', metadata })
    expect((await event(CREATED.type, dispute)).status).toBe(409)
    await book(session)
    expect((await event(CREATED.type, dispute)).outcome).toBe('booked')
    expect(await totalOf(org)).toBe('1000')
  })
})

test('A refund that is older than the last one changes nothing.', async () => {
  const { org, session, payment_intent, metadata } = await buy()
  await book(session)
  for (const amount_refunded of [600, 250, 600])
    await event('charge.refunded', { id: 'ch_1', payment_intent, metadata, amount_refunded })
  expect(await totalOf(org)).toBe('5000')
})

test('Where neither the request nor the operator says where a buyer goes afterwards, nothing is opened, whatever host is named.', async () => {
  const org = await product.db.seedOrganization({ credits: 0, users: { olga: 0, mark: 0 } })
  const before = stripe.sessions.length
  const answer = await purchase(org.keys.olga, { amount: 10 }, { 'x-forwarded-host': 'evil.example' })
  expect([answer.status, await answer.json()]).toMatchObject([400, { error: { code: 'success_url_missing' } }])
  expect(stripe.sessions).toHaveLength(before)
})
