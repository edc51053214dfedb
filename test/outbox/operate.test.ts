import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { useDatabase } from '../support/database.ts'
import { runCommand } from '../support/run-tollgate.ts'
import { catchUp, followWebhook, told } from './follow-webhook.ts'
import { type Receiver, startReceiver } from './receiver.ts'

const db = useDatabase()
const deduct = 'select deduct_credits($1, $2, $3, $4)'
const tollgate = (...args: string[]) => runCommand({ args, databaseUrl: db.url })

let receiver: Receiver
beforeEach(async () => {
  receiver = await startReceiver()
})
afterEach(async () => {
  await db.pool.query('delete from tollgate.outbox_consumers')
  await receiver.close()
})

/** A consumer that has taken `one` and `three`, and whose `two` is a dead letter. */
async function withDeadLetter(name: string) {
  const org = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const following = followWebhook(db, receiver, { name })
  await catchUp(db, following)
  receiver.answer = (one) => (told(one) === 'two' ? 500 : 204)
  for (const [place, service] of ['one', 'two', 'three'].entries())
    await db.pool.query(deduct, [org.id, 'alice', `${place + 1}.000001`, service])
  await catchUp(db, following)
  await db.moveClock('73 hours')
  await catchUp(db, following)
  expect(receiver.received.map(told)).toEqual(['one', 'two', 'two', 'three'])
  receiver.answer = () => 204
  receiver.received.length = 0
  return { org, following }
}

describe('tollgate outbox', () => {
  test('A dead letter is listed, sent again when somebody says so, and then the consumer has what the books say.', async () => {
    const name = `ops-${randomUUID().slice(0, 8)}`
    const { org, following } = await withDeadLetter(name)
    const listed = JSON.parse((await tollgate('outbox', 'list', '--json')).stdout)
    expect(listed.consumers).toMatchObject([{ name, sent: '2', blocked: 0, dead_letters: 1 }])
    expect(listed.dead_letters).toMatchObject([{ consumer: name, org_id: org.id, type: 'charge.created', attempts: 2 }])

    // What is missing is known: it is explained, and not nothing.
    const before = await tollgate('outbox', 'verify', '--json')
    expect(JSON.parse(before.stdout)).toMatchObject([
      {
        org_id: org.id,
        booked: '3',
        booked_credits: '6.000003',
        sent: '2',
        sent_credits: '4.000002',
        waiting: '1',
        waiting_credits: '2.000001',
        explained: true,
      },
    ])
    expect(before.code).toBe(0)

    expect(await tollgate('outbox', 'replay', '--consumer', name)).toMatchObject({
      code: 0,
      stdout: '1 events are sent again.\n',
    })
    await catchUp(db, following)
    expect(receiver.received.map(told)).toEqual(['two'])
    expect(await tollgate('outbox', 'verify')).toMatchObject({
      code: 0,
      stdout: 'Every consumer has taken what the books say.\n',
    })
  })

  test('Everything of a day is sent again with the same ids, and is not counted twice.', async () => {
    const name = `again-${randomUUID().slice(0, 8)}`
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const following = followWebhook(db, receiver, { name })
    await catchUp(db, following)
    for (const service of ['one', 'two']) await db.pool.query(deduct, [org.id, 'alice', 1, service])
    await catchUp(db, following)
    const day = new Date().toISOString().slice(0, 10)
    const ids = () => receiver.received.map(({ headers }) => headers['webhook-id'])
    const first = ids()
    receiver.received.length = 0

    const range = ['--from', '2020-01-01', '--to', day, '--org', org.name]
    expect((await tollgate('outbox', 'replay', '--consumer', name, ...range)).stdout).toBe('2 events are sent again.\n')
    await catchUp(db, following)
    expect(new Set(ids())).toEqual(new Set(first))
    expect((await tollgate('outbox', 'verify')).code).toBe(0)
  })

  test('A charge that a consumer never took, or took twice, is found.', async () => {
    const name = `wrong-${randomUUID().slice(0, 8)}`
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const following = followWebhook(db, receiver, { name })
    await catchUp(db, following)
    await db.pool.query(deduct, [org.id, 'alice', 1, 'one'])
    await catchUp(db, following)
    await db.pool.query('update tollgate.outbox_sent set charges = charges + 1, credits = credits + 0.000001')
    const found = await tollgate('outbox', 'verify', '--json')
    expect(JSON.parse(found.stdout)).toMatchObject([
      { booked: '1', sent: '2', sent_credits: '1.000001', explained: false },
    ])
    expect(found.code).toBe(1)
  })

  test('What waits is tried at once when the operator says so.', async () => {
    const name = `retry-${randomUUID().slice(0, 8)}`
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const following = followWebhook(db, receiver, { name })
    await catchUp(db, following)
    receiver.answer = () => 503
    await db.pool.query(deduct, [org.id, 'alice', 1, 'one'])
    await catchUp(db, following)
    receiver.answer = () => 204
    expect((await tollgate('outbox', 'retry', '--consumer', name)).stdout).toBe('1 are tried at once.\n')
    await catchUp(db, following)
    expect(receiver.received.map(told)).toEqual(['one', 'one'])
  })

  test('A consumer that nobody knows is refused with the names of those there are.', async () => {
    await catchUp(db, followWebhook(db, receiver, { name: 'known' }))
    const ran = await tollgate('outbox', 'retry', '--consumer', 'unknown')
    expect(ran).toMatchObject({ code: 1 })
    expect(ran.stderr).toContain("There is no consumer 'unknown'; there are: known.")
  })
})
