/** What Lago says of subscriptions: signed, twice, late and in any order, the plan is what it is there. */
import { createHmac, randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { useDatabase } from '../../support/database.ts'
import { useProduct } from '../../support/product.ts'
import { configFor, startTollgate } from '../../support/tollgate.ts'

const KEY = 'hmac-key-of-lago'
const PLANS = { platform: 'platform_monthly', byok: 'byok_monthly', hybrid: 'hybrid_monthly' }
const lago = {
  name: 'lago',
  type: 'lago',
  url: 'https://lago.example.com',
  api_key: 'k',
  plans: PLANS,
  webhook_key: KEY,
}
const product = useProduct(() => ({ tollgate: { outbox: [lago] } }))

interface Answer {
  status: number
  body: Record<string, unknown>
}

async function send(webhook: unknown, headers?: Record<string, string>): Promise<Answer> {
  const body = typeof webhook === 'string' ? webhook : JSON.stringify(webhook)
  const signature = createHmac('sha256', KEY).update(body).digest('base64')
  const response = await fetch(`${product.tollgate.url}/api/v1/webhooks/lago`, {
    method: 'POST',
    headers: headers ?? { 'x-lago-signature': signature, 'x-lago-signature-algorithm': 'hmac' },
    body,
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

const seed = () => product.db.seedOrganization({ credits: 100, users: { alice: 50 } })

/** A subscription of Lago and what it says of it. @param day of January 2030 on which it was made. */
function subscriptionOf(orgId: string, plan: keyof typeof PLANS, day: number) {
  const subscription = {
    lago_id: randomUUID(),
    external_customer_id: orgId,
    external_id: orgId,
    plan_code: PLANS[plan],
    created_at: `2030-01-0${day}T00:00:00Z`,
    current_billing_period_started_at: `2030-01-0${day}T00:00:00Z`,
    current_billing_period_ending_at: '2030-01-31T23:59:59Z',
    status: 'active',
  }
  const says = (what: string, changes: object = {}) => ({
    webhook_type: `subscription.${what}`,
    object_type: 'subscription',
    subscription: { ...subscription, ...changes },
  })
  return {
    id: subscription.lago_id,
    started: says('started'),
    updated: says('updated', { current_billing_period_ending_at: '2030-02-28T23:59:59Z' }),
    terminated: says('terminated', { status: 'terminated', terminated_at: '2030-01-09T00:00:00Z' }),
    followed: says('terminated', { terminated_at: '2030-01-09T00:00:00Z', next_plan_code: PLANS.hybrid }),
  }
}

async function planOf(orgId: string) {
  const { rows } = await product.db.pool.query(
    `select subscription_plan as plan, status, lago_subscription_id as lago from organization_subscriptions
      where org_id = $1 and status <> 'canceled'`,
    [orgId],
  )
  return rows
}

function orders<Item>(items: readonly Item[]): Item[][] {
  if (items.length < 2) return [[...items]]
  return items.flatMap((item, index) =>
    orders(items.filter((_, other) => other !== index)).map((rest) => [item, ...rest]),
  )
}

describe('webhooks of Lago', () => {
  test('A webhook without a signature, or with a signature of other bytes, changes nothing and gets 401.', async () => {
    const org = await seed()
    const { started } = subscriptionOf(org.id, 'byok', 1)
    const body = JSON.stringify(started)
    const wrong = createHmac('sha256', 'another').update(body).digest('base64')
    const unsigned = [{}, { 'x-lago-signature': '' }, { 'x-lago-signature': wrong }, { 'x-lago-signature': 'x' }]
    for (const headers of unsigned) {
      const { status, body: answer } = await send(started, headers)
      expect([status, (answer.error as { code: string }).code]).toEqual([401, 'invalid_signature'])
    }
    expect(await planOf(org.id)).toMatchObject([{ plan: 'platform', lago: null }])
  })

  test('A subscription that starts becomes the plan, once, with the period of Lago; signatures may be hex or base64.', async () => {
    const org = await seed()
    const { started, id, updated } = subscriptionOf(org.id, 'byok', 1)
    expect(await send(started)).toEqual({
      status: 200,
      body: { status: 'received', event_type: 'subscription.started', outcome: 'changed' },
    })
    const hex = createHmac('sha256', KEY).update(JSON.stringify(started)).digest('hex')
    expect((await send(started, { 'x-lago-signature': hex })).body.outcome).toBe('unchanged')
    expect(await planOf(org.id)).toEqual([{ plan: 'byok', status: 'active', lago: id }])
    expect((await send(updated)).body.outcome).toBe('changed')
    // The first one comes again, late: the period does not go back.
    expect((await send(started)).body.outcome).toBe('unchanged')
    const { rows } = await product.db.pool.query(
      'select current_period_end from organization_subscriptions where org_id = $1',
      [org.id],
    )
    expect(rows[0].current_period_end.toISOString()).toBe('2030-02-28T23:59:59.000Z')
  })

  test('A change of plan leads to the same plan, in whichever order its webhooks come, also when they come twice.', async () => {
    for (const order of orders(['old started', 'old followed', 'new started', 'new started again'])) {
      const org = await seed()
      const [old, fresh] = [subscriptionOf(org.id, 'byok', 1), subscriptionOf(org.id, 'hybrid', 9)]
      const webhooks: Record<string, unknown> = {
        'old started': old.started,
        'old followed': old.followed,
        'new started': fresh.started,
        'new started again': fresh.started,
      }
      for (const name of order) expect((await send(webhooks[name])).status).toBe(200)
      expect(await planOf(org.id), order.join()).toEqual([{ plan: 'hybrid', status: 'active', lago: fresh.id }])
    }
  })

  test('A subscription that ended stays ended, whatever comes later.', async () => {
    for (const order of orders(['started', 'updated', 'terminated'] as const)) {
      const org = await seed()
      const one = subscriptionOf(org.id, 'byok', 1)
      for (const name of order) expect((await send(one[name])).status).toBe(200)
      expect(await planOf(org.id), order.join()).toEqual([])
    }
  })

  test('A webhook about an unknown organization or plan is received and ignored; a body that is not JSON gets 400.', async () => {
    const org = await seed()
    const stranger = subscriptionOf(randomUUID(), 'byok', 1)
    expect((await send(stranger.started)).body.outcome).toBe('ignored')
    const other = { ...subscriptionOf(org.id, 'byok', 1).started }
    other.subscription = { ...other.subscription, plan_code: 'somebody_elses' }
    expect((await send(other)).body.outcome).toBe('ignored')
    expect((await send({ webhook_type: 'invoice.created', invoice: {} })).body.outcome).toBe('ignored')
    expect((await send('{')).status).toBe(400)
    expect((await send({ webhook_type: 'subscription.started', subscription: {} })).status).toBe(400)
    expect(await planOf(org.id)).toMatchObject([{ plan: 'platform', lago: null }])
  })
})

const bare = useDatabase()
test('Where no key is set, every webhook of Lago is refused.', async () => {
  const tollgate = await startTollgate({ databaseUrl: bare.url, config: configFor('http://127.0.0.1:9') })
  const response = await fetch(`${tollgate.url}/api/v1/webhooks/lago`, { method: 'POST', body: '{}' })
  expect(response.status).toBe(501)
  await tollgate.stop()
})
