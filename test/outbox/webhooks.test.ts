import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type AddressGuard, createAddressGuard } from '../../src/http/address-guard.ts'
import { useDatabase } from '../support/database.ts'
import { catchUp, followWebhook, SECRET, told } from './follow-webhook.ts'
import { type Received, type Receiver, startReceiver } from './receiver.ts'

const db = useDatabase()
const deduct = 'select deduct_credits($1, $2, $3, $4)'

let receiver: Receiver
let clock: number
beforeEach(async () => {
  receiver = await startReceiver()
  clock = 0
})
afterEach(async () => {
  // What a test left waiting is nobody's.
  await db.pool.query('delete from tollgate.outbox_consumers')
  await receiver.close()
})

const follower = (name: string, types: readonly string[] = ['charge.*'], guard?: AddressGuard) =>
  followWebhook(db, receiver, { name, types, now: () => clock, ...(guard === undefined ? {} : { guard }) })
const ids = (all: readonly Received[]) => all.map(({ headers }) => headers['webhook-id'])
const seed = () => db.seedOrganization({ credits: 1_000, users: { alice: 500 } })

describe('a webhook', () => {
  test('A webhook is verified by a library that knows nothing of us, and says what happened.', async () => {
    const org = await seed()
    const following = follower('verified', ['*'])
    expect(await catchUp(db, following)).toBe('idle')
    await db.pool.query(deduct, [org.id, 'alice', 1.5, 'chat'])
    await catchUp(db, following)

    const [one] = receiver.received
    const headers = one!.headers as Record<string, string>
    expect(new Webhook(SECRET).verify(one!.body, headers)).toEqual(JSON.parse(one!.body))
    expect(() => new Webhook(SECRET).verify(one!.body.replace('1.5', '2.5'), headers)).toThrow()
    const { rows } = await db.pool.query('select id, created_at from credit_usage_attribution where org_id = $1', [
      org.id,
    ])
    expect(headers['webhook-id']).toBe(rows[0].id)
    expect(JSON.parse(one!.body)).toMatchObject({
      type: 'charge.created',
      timestamp: rows[0].created_at.toISOString(),
      data: { organization_id: org.id, user_id: 'alice', credits: '1.5', call_id: expect.any(String) },
    })
  })

  test('What happened before a consumer is named is not told; what happens from then on is, once, in order.', async () => {
    const org = await seed()
    await db.pool.query(deduct, [org.id, 'alice', 1, 'before'])
    const following = follower('from-now')
    await catchUp(db, following)
    for (const name of ['one', 'two', 'three']) await db.pool.query(deduct, [org.id, 'alice', 1, name])
    await catchUp(db, following)
    await catchUp(db, following)
    expect(receiver.received.map(told)).toEqual(['one', 'two', 'three'])
  })

  test('An address that is not public is called only where the operator lists it.', async () => {
    const org = await seed()
    const following = follower('guarded', ['charge.*'], createAddressGuard([]))
    await catchUp(db, following)
    await db.pool.query(deduct, [org.id, 'alice', 1, 'one'])
    await catchUp(db, following)
    expect(receiver.received).toEqual([])
    const { rows } = await db.pool.query('select last_error from tollgate.outbox_blocked')
    expect(rows[0].last_error).toContain(`can't be called: port ${receiver.place.split(':')[1]} is not a web server's`)
  })
})

describe('a receiver', () => {
  test('A receiver that answers 500 gets the event again, and nothing twice that it took, and what comes after waits for it.', async () => {
    const org = await seed()
    const following = follower('refused')
    await catchUp(db, following)
    receiver.answer = (one) => (told(one) === 'two' ? 500 : 204)
    for (const name of ['one', 'two', 'three']) await db.pool.query(deduct, [org.id, 'alice', 1, name])
    await catchUp(db, following)
    expect(receiver.received.map(told)).toEqual(['one', 'two'])
    // Not before its time.
    await catchUp(db, following)
    expect(receiver.received.length).toBe(2)

    await db.pool.query(deduct, [org.id, 'alice', 1, 'four'])
    receiver.answer = () => 204
    await db.moveClock('1 second')
    await catchUp(db, following)
    expect(receiver.received.map(told)).toEqual(['one', 'two', 'two', 'three', 'four'])
    expect(new Set(ids(receiver.received)).size).toBe(4)
    expect((await db.pool.query('select 1 from tollgate.outbox_blocked')).rows).toEqual([])
  })

  test('An organization whose event is not taken stops nobody else; after three days the event is given up, and those behind it go on.', async () => {
    const [ill, well] = [await seed(), await seed()]
    const following = follower('given-up')
    await catchUp(db, following)
    receiver.answer = (one) => (told(one) === 'poison' ? 422 : 204)
    await db.pool.query(deduct, [ill.id, 'alice', 1, 'poison'])
    for (const name of ['ill one', 'ill two']) await db.pool.query(deduct, [ill.id, 'alice', 1, name])
    for (const name of ['well one', 'well two']) await db.pool.query(deduct, [well.id, 'alice', 1, name])
    await catchUp(db, following)
    await db.moveClock('71 hours')
    await catchUp(db, following)
    expect(receiver.received.map(told).filter((name) => name !== 'poison')).toEqual(['well one', 'well two'])
    expect((await db.pool.query('select state from tollgate.outbox_letters')).rows).toEqual([])

    await db.moveClock('2 hours')
    await catchUp(db, following)
    expect(receiver.received.map(told).filter((name) => name !== 'poison')).toEqual([
      'well one',
      'well two',
      'ill one',
      'ill two',
    ])
    const { rows } = await db.pool.query('select org_id, type, state, last_error from tollgate.outbox_letters')
    expect(rows).toEqual([{ org_id: ill.id, type: 'charge.created', state: 'dead', last_error: 'answered 422' }])
  })

  test('A receiver that takes the connection of one event and never answers delays no other organization, and is given ten seconds.', async () => {
    const [ill, well] = [await seed(), await seed()]
    const following = follower('silent')
    await catchUp(db, following)
    const patience: AbortController[] = []
    const timeout = vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => {
      const one = new AbortController()
      patience.push(one)
      return one.signal
    })
    receiver.answer = (one) => (told(one) === 'silence' ? null : 204)
    await db.pool.query(deduct, [ill.id, 'alice', 1, 'silence'])
    await db.pool.query(deduct, [ill.id, 'alice', 1, 'ill one'])
    for (const name of ['well one', 'well two']) await db.pool.query(deduct, [well.id, 'alice', 1, name])
    const round = catchUp(db, following)
    await receiver.until((one) => told(one) === 'silence')
    // Nobody has answered the first event, nor given it up, when these come.
    await receiver.until((one) => told(one) === 'well two')
    expect(timeout.mock.calls.every(([ms]) => ms === 10_000)).toBe(true)
    // The first two requests: the silent one, and the first of the other organization, which is over.
    for (const one of patience.slice(0, 2)) one.abort(new DOMException('aborted due to timeout', 'TimeoutError'))
    await round
    timeout.mockRestore()
    const { rows } = await db.pool.query('select last_error from tollgate.outbox_blocked')
    expect(rows).toEqual([{ last_error: 'no answer in 10 seconds' }])

    receiver.answer = () => 204
    await db.moveClock('1 second')
    await catchUp(db, following)
    const named = (names: readonly string[]) => receiver.received.map(told).filter((name) => names.includes(name!))
    expect(named(['well one', 'well two'])).toEqual(['well one', 'well two'])
    expect(named(['silence', 'ill one'])).toEqual(['silence', 'silence', 'ill one'])
  })

  test('Of a receiver that takes nothing the cursor stays where it is, and everything comes once it is back.', async () => {
    const orgs = [await seed(), await seed(), await seed(), await seed(), await seed()]
    const following = follower('down')
    await catchUp(db, following)
    receiver.answer = (_, response) => {
      response.destroy()
      return null
    }
    for (const org of orgs) await db.pool.query(deduct, [org.id, 'alice', 1, 'one'])
    const cursor = 'select sequence from tollgate.outbox_consumers'
    const { rows: before } = await db.pool.query(cursor)
    expect(await catchUp(db, following)).toBe('down')
    expect((await db.pool.query(cursor)).rows).toEqual(before)
    expect(receiver.received.length).toBe(4)

    // It is asked later, not at once.
    receiver.answer = () => 204
    expect(await catchUp(db, following)).toBe('down')
    clock += 1_000
    expect(await catchUp(db, following)).toBe('idle')
    expect(new Set(ids(receiver.received)).size).toBe(5)
  })

  test('Five organizations whose events are never taken stop nobody else for longer than a few attempts.', async () => {
    const ill = [await seed(), await seed(), await seed(), await seed(), await seed()]
    const well = await seed()
    const following = follower('poisoned')
    await catchUp(db, following)
    receiver.answer = (one) => (told(one) === 'poison' ? 400 : 204)
    for (const org of ill) await db.pool.query(deduct, [org.id, 'alice', 1, 'poison'])
    await db.pool.query(deduct, [well.id, 'alice', 1, 'well'])
    for (let attempt = 0; attempt < 4; attempt++) {
      await catchUp(db, following)
      clock += 10_000
    }
    expect(receiver.received.map(told).filter((name) => name === 'well')).toEqual(['well'])
  })
})

describe('two processes', () => {
  test('Two processes do not work for one consumer; when one is gone for thirty seconds, the other one goes on where it was.', async () => {
    const org = await seed()
    const [one, other] = [follower('shared'), follower('shared')]
    await catchUp(db, one)
    await db.pool.query(deduct, [org.id, 'alice', 1, 'one'])
    expect(await catchUp(db, other)).toBe('elsewhere')
    await catchUp(db, one)
    await db.pool.query(deduct, [org.id, 'alice', 1, 'two'])
    expect(await catchUp(db, other)).toBe('elsewhere')
    await db.moveClock('31 seconds')
    expect(await catchUp(db, other)).toBe('idle')
    expect(await catchUp(db, one)).toBe('elsewhere')
    expect(receiver.received.map(told)).toEqual(['one', 'two'])
  })

  test('A process that loses its lease in the middle of a page writes nothing, and the page is sent again by its successor.', async () => {
    const org = await seed()
    const [one, other] = [follower('lost'), follower('lost')]
    await catchUp(db, one)
    for (const name of ['one', 'two']) await db.pool.query(deduct, [org.id, 'alice', 1, name])
    receiver.answer = (_, response) => {
      receiver.answer = () => 204
      db.pool
        .query("update tollgate.outbox_consumers set lease_until = '2000-01-01'")
        .then(() => other.round())
        .then(() => response.writeHead(204).end())
      return null
    }
    expect(await catchUp(db, one)).toBe('elsewhere')
    const { rows } = await db.pool.query('select sent from tollgate.outbox_consumers')
    expect(rows).toEqual([{ sent: '2' }])
    expect(new Set(ids(receiver.received)).size).toBe(2)
  })
})
