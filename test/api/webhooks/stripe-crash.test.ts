/** A process that dies while it books a payment: Stripe sends the event again, and the purchase is booked once. */
import { afterAll, expect, test } from 'vitest'
import { balances } from '../../support/books.ts'
import { useDatabase } from '../../support/database.ts'
import { paidSession, sendEvent, startStripe, WEBHOOK_SECRET } from '../../support/stripe.ts'
import { configFor, startTollgate } from '../../support/tollgate.ts'

const db = useDatabase()
const stripe = await startStripe()
afterAll(() => stripe.close())

const start = () =>
  startTollgate({
    databaseUrl: db.url,
    config: configFor('http://127.0.0.1:9', {
      tollgate: {
        public_url: 'https://gate.example.com',
        stripe: { secret_key: 'sk_test_scripted', webhook_secret: WEBHOOK_SECRET, api_base: stripe.url },
      },
    }),
  })

test('A purchase whose booking was cut off by a crash is booked once, by the event that Stripe sends again.', async () => {
  const org = await db.seedOrganization({ credits: 1_000, users: { olga: 400, mark: 100 } })
  const [first, second] = await Promise.all([start(), start()])
  await fetch(`${first.url}/api/v1/llm/credits/purchase`, {
    method: 'POST',
    headers: { authorization: `Bearer ${org.keys.olga}`, 'content-type': 'application/json' },
    body: '{"amount":10}',
  })
  const { session } = paidSession(stripe, 1_000)
  // Somebody has the pool: the booking has claimed the payment and waits, its transaction open.
  const blocker = await db.pool.connect()
  await blocker.query('begin')
  await blocker.query('select from organization_credit_pools where org_id = $1 for update', [org.id])
  const cut = sendEvent(first.url, 'checkout.session.completed', session).catch((error: Error) => error)
  const waiting =
    'select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = $1'
  await expect.poll(async () => (await db.pool.query(waiting, ['Lock'])).rows[0].n).toBe(1)
  await first.stop('SIGKILL')
  expect(await cut).toBeInstanceOf(Error)
  await blocker.query('rollback')
  blocker.release()
  expect((await balances(db.pool, org.id)).pool.total).toBe('1000')

  expect(await sendEvent(second.url, 'checkout.session.completed', session)).toEqual({ status: 200, outcome: 'booked' })
  expect(await sendEvent(second.url, 'checkout.session.completed', session)).toEqual({ status: 200, outcome: 'known' })
  expect((await balances(db.pool, org.id)).pool.total).toBe('11000')
  await second.stop()
})
