/** The product tells consumers: real processes, one of them killed while a receiver has its request in hand. */
import type { ServerResponse } from 'node:http'
import { Webhook } from 'standardwebhooks'
import { expect, onTestFinished, test } from 'vitest'
import { useDatabase } from '../support/database.ts'
import { configFor, MASTER_KEY, startTollgate } from '../support/tollgate.ts'
import { SECRET, told } from './follow-webhook.ts'
import { startReceiver } from './receiver.ts'

const db = useDatabase()
const deduct = 'select deduct_credits($1, $2, $3, $4)'

test('A process that is killed while a receiver has an event in hand loses nothing: its successor sends it again, with the same id.', async () => {
  const receiver = await startReceiver()
  onTestFinished(() => receiver.close())
  const hook = {
    name: 'billing',
    type: 'webhook',
    url: `${receiver.url}/hook`,
    secret: 'os.environ/HOOK_SECRET',
    events: ['charge.*'],
  }
  const settings = { outbox: [hook], allowed_addresses: [receiver.place] }
  const config = configFor('http://127.0.0.1:9', { tollgate: settings })
  const start = async () => {
    const started = await startTollgate({ databaseUrl: db.url, config, env: { HOOK_SECRET: SECRET } })
    onTestFinished(async () => void (await started.stop()))
    return started
  }
  const org = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
  const first = await start()
  const isNamed = async () => (await db.pool.query('select 1 from tollgate.outbox_consumers')).rows.length > 0
  while (!(await isNamed())) await new Promise((resolve) => setTimeout(resolve, 20))

  let inHand: ServerResponse | undefined
  receiver.answer = (_, response) => {
    inHand = response
    return null
  }
  await db.pool.query(deduct, [org.id, 'alice', 1, 'one'])
  await db.pool.query(deduct, [org.id, 'alice', 2, 'two'])
  await receiver.until((one) => told(one) === 'one')
  first.kill()
  await first.exited
  inHand?.destroy()

  receiver.answer = () => 204
  await db.moveClock('31 seconds')
  const second = await start()
  await receiver.until((one) => told(one) === 'two')
  expect(receiver.received.map(told)).toEqual(['one', 'one', 'two'])
  expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(2)
  for (const { body, headers } of receiver.received)
    expect(new Webhook(SECRET).verify(body, headers as Record<string, string>)).toEqual(JSON.parse(body))

  const sent = 'select sent from tollgate.outbox_consumers'
  while ((await db.pool.query(sent)).rows[0].sent !== '2') await new Promise((resolve) => setTimeout(resolve, 20))
  const metrics = await fetch(`${second.url}/metrics`, { headers: { authorization: `Bearer ${MASTER_KEY}` } })
  const text = await metrics.text()
  expect(text).toContain('tollgate_outbox_events_total{consumer="billing",result="sent"} 2')
  expect(text).toContain('tollgate_outbox_dead_letters{consumer="billing"} 0')
})
