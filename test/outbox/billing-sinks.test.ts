/** Lago, Stripe, CloudEvents and Slack: what each is sent, and that what is sent again counts once. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createAddressGuard } from '../../src/http/address-guard.ts'
import { createCloudEventsSink } from '../../src/outbox/cloudevents-sink.ts'
import { createLagoSink } from '../../src/outbox/lago-sink.ts'
import { createPost } from '../../src/outbox/post.ts'
import { createSlackSink } from '../../src/outbox/slack-sink.ts'
import { createStripeSink } from '../../src/outbox/stripe-sink.ts'
import { useDatabase } from '../support/database.ts'
import { catchUp, followSink } from './follow-webhook.ts'
import { type Receiver, startReceiver } from './receiver.ts'
import { API_KEY, scriptLago } from './scripted-lago.ts'

const db = useDatabase()
const deduct = 'select deduct_credits($1, $2, $3, $4, $5)'
const PLANS = { platform: 'platform_monthly', byok: 'byok_monthly', hybrid: 'hybrid_monthly' }

let receiver: Receiver
beforeEach(async () => {
  receiver = await startReceiver()
})
afterEach(async () => {
  await db.pool.query('delete from tollgate.outbox_consumers')
  await receiver.close()
})

const post = () => createPost(createAddressGuard([receiver.place]))
const seed = () => db.seedOrganization({ credits: 10_000, users: { alice: 5_000 } })

function followLago(name: string) {
  const settings = { url: receiver.url, apiKey: API_KEY, metric: 'api_call', plans: PLANS, types: ['charge.*'] }
  return followSink(db, name, createLagoSink(settings, post(), db.database))
}

/** The cursor of a consumer as it was: as if its process had died before it wrote how far it came. */
async function rewind<T>(name: string, work: () => Promise<T>): Promise<T> {
  const { rows } = await db.pool.query(
    'select sequence, source, row_id from tollgate.outbox_consumers where name = $1',
    [name],
  )
  const { sequence, source, row_id } = rows[0]
  const result = await work()
  await db.pool.query('update tollgate.outbox_consumers set sequence = $2, source = $3, row_id = $4 where name = $1', [
    name,
    sequence,
    source,
    row_id,
  ])
  return result
}

describe('Lago', () => {
  test('Lago gets the customer, subscription and usage of an organization, and each of 250 charges once, also when all are sent again.', async () => {
    const lago = scriptLago(receiver, Object.values(PLANS))
    const org = await seed()
    const following = followLago('lago')
    await catchUp(db, following)
    for (let n = 1; n <= 250; n++) await db.pool.query(deduct, [org.id, 'alice', `0.${n}`, 'chat', 'gpt-4o'])
    await rewind('lago', () => catchUp(db, following))
    expect(lago.events.length).toBe(250)
    // The successor introduces the organization again, and sends every event again.
    await db.pool.query(deduct, [org.id, 'alice', 7, 'chat', 'gpt-4o'])
    await db.pool.query("update tollgate.outbox_consumers set lease_until = '2000-01-01'")
    await catchUp(db, followLago('lago'))

    expect([...lago.customers.values()]).toEqual([{ external_id: org.id, name: org.name }])
    expect([...lago.subscriptions]).toEqual([[org.id, ['platform_monthly']]])
    const { rows } = await db.pool.query(
      'select id, created_at, credits_used from credit_usage_attribution where org_id = $1 order by sequence, id',
      [org.id],
    )
    expect(lago.events.map(({ transaction_id: id }) => id)).toEqual(rows.map(({ id }) => id))
    expect(lago.events[0]).toEqual({
      transaction_id: rows[0].id,
      external_subscription_id: org.id,
      code: 'api_call',
      timestamp: (rows[0].created_at.getTime() / 1000).toFixed(3),
      properties: {
        credits: rows[0].credits_used,
        cost: '0',
        tokens: 0,
        input_tokens: 0,
        output_tokens: 0,
        model: 'gpt-4o',
        endpoint: 'chat',
        user_id: 'alice',
        org_id: org.id,
        type: 'charge.created',
      },
    })
  })

  test('A plan that changes is changed in Lago, and one that was canceled is not begun again.', async () => {
    const lago = scriptLago(receiver, Object.values(PLANS))
    const org = await seed()
    const following = followLago('plans')
    await catchUp(db, following)
    const charge = async () => {
      await db.pool.query(deduct, [org.id, 'alice', 1, 'chat', 'gpt-4o'])
      await catchUp(db, following)
    }
    await charge()
    await db.pool.query("update organization_subscriptions set subscription_plan = 'hybrid' where org_id = $1", [
      org.id,
    ])
    await charge()
    await db.pool.query(
      "update organization_subscriptions set status = 'canceled', subscription_plan = 'byok' where org_id = $1",
      [org.id],
    )
    await charge()
    expect(lago.subscriptions.get(org.id)).toEqual(['platform_monthly', 'hybrid_monthly'])
    expect(lago.events.length).toBe(3)
  })

  test('An event that Lago refuses for another reason waits, and its reason is kept.', async () => {
    scriptLago(receiver, ['another_plan'])
    const org = await seed()
    const following = followLago('refused')
    await catchUp(db, following)
    await db.pool.query(deduct, [org.id, 'alice', 1, 'chat', 'gpt-4o'])
    await catchUp(db, following)
    const { rows } = await db.pool.query('select last_error from tollgate.outbox_blocked')
    expect(rows[0].last_error).toMatch(/^subscriptions: answered 404: .*plan_not_found/)
    const lago = scriptLago(receiver, Object.values(PLANS))
    await db.moveClock('1 minute')
    await catchUp(db, following)
    expect(lago.events.length).toBe(1)
  })
})

test('Stripe gets a meter event in whole microcredits for each charge of its customers, and an event that Stripe already has counts as sent.', async () => {
  const [acme, other] = [await seed(), await seed()]
  const settings = { url: receiver.url, secretKey: 'sk_test_1', meter: 'microcredits', types: ['charge.*'] }
  const sink = createStripeSink({ ...settings, customers: { [acme.name]: 'cus_acme' } }, post(), db.database)
  const following = followSink(db, 'stripe', sink)
  await catchUp(db, following)
  const seen = new Set<string | null>()
  receiver.answer = ({ body }) => {
    const id = new URLSearchParams(body).get('identifier')
    if (seen.has(id)) return { status: 400, body: { error: { code: 'duplicate_meter_event' } } }
    seen.add(id)
    return { status: 200, body: { object: 'billing.meter_event' } }
  }
  await db.pool.query(deduct, [other.id, 'alice', 1, 'chat', 'gpt-4o'])
  await db.pool.query(deduct, [acme.id, 'alice', 0, 'chat', 'gpt-4o'])
  await db.pool.query(deduct, [acme.id, 'alice', '1.000001', 'chat', 'gpt-4o'])
  await rewind('stripe', () => catchUp(db, following))
  expect(await catchUp(db, following)).toBe('idle')
  expect(receiver.received.length).toBe(2)
  expect(seen.size).toBe(1)
  const [{ path, headers, body } = { path: '', headers: {}, body: '' }] = receiver.received
  expect([path, headers.authorization]).toEqual(['/v1/billing/meter_events', 'Bearer sk_test_1'])
  expect(Object.fromEntries(new URLSearchParams(body))).toMatchObject({
    event_name: 'microcredits',
    'payload[stripe_customer_id]': 'cus_acme',
    'payload[value]': '1000001',
  })
})

test('CloudEvents come in batches of one organization each, with its id as subject.', async () => {
  const [one, two] = [await seed(), await seed()]
  const settings = { url: `${receiver.url}/events`, headers: { authorization: 'Bearer meter' }, types: ['charge.*'] }
  const following = followSink(db, 'meter', createCloudEventsSink(settings, post()))
  await catchUp(db, following)
  for (const org of [one, two, one]) await db.pool.query(deduct, [org.id, 'alice', 1.5, 'chat', 'gpt-4o'])
  await catchUp(db, following)
  const batches = receiver.received.map(({ body }) => JSON.parse(body) as Record<string, unknown>[])
  expect(batches.map((batch) => batch.map(({ subject }) => subject))).toEqual([[one.id, one.id], [two.id]])
  expect(receiver.received[0]!.headers).toMatchObject({
    'content-type': 'application/cloudevents-batch+json',
    authorization: 'Bearer meter',
  })
  expect(batches[1]![0]).toMatchObject({
    specversion: '1.0',
    source: 'tollgate',
    type: 'charge.created',
    datacontenttype: 'application/json',
    data: { credits: '1.5', user_id: 'alice' },
  })
})

test('Slack gets a line that names what happened, in which no name mentions a channel.', async () => {
  const org = await db.seedOrganization({ credits: 100, users: { '<!channel>': 10 } })
  const following = followSink(db, 'team', createSlackSink(`${receiver.url}/hook`, ['allocation.*'], post()))
  await catchUp(db, following)
  await db.pool.query(deduct, [org.id, '<!channel>', 9, 'chat', 'gpt-4o'])
  await catchUp(db, following)
  const { text } = JSON.parse(receiver.received[0]!.body)
  expect(text).toContain(`*allocation.near_end* organization: ${org.id}, user: &lt;!channel&gt;`)
  expect(text).toContain('used: 9')
  expect(receiver.received.length).toBe(1)
})
