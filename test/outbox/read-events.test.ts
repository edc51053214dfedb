import { randomUUID } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { adoptServer } from '../../src/ledger/adopt-server.ts'
import {
  CHARGES,
  EVENTS,
  isAfter,
  MOVEMENTS,
  type Place,
  readEvents,
  type Wanted,
} from '../../src/outbox/read-events.ts'
import { useDatabase } from '../support/database.ts'
import { passed } from './follow-webhook.ts'

const db = useDatabase()
const all: Wanted = { sources: [MOVEMENTS, CHARGES, EVENTS], most: 1_000 }
const deduct = 'select deduct_credits($1, $2, $3, $4)'

/** Behind everything that was written before. */
async function here(): Promise<Place> {
  await passed(db)
  const { rows } = await db.pool.query<{ at: string }>('select tollgate.outbox_horizon() - 1 as at')
  return { sequence: rows[0]!.at, source: 3, rowId: 'ffffffff-ffff-ffff-ffff-ffffffffffff' }
}

/** Every event that was written before. */
async function read(after: Place, wanted = all) {
  await passed(db)
  return readEvents(db.database, after, wanted)
}

async function session() {
  const client = await db.pool.connect()
  onTestFinished(() => client.release(true))
  return client
}

describe('whoever follows the books', () => {
  test('A charge whose transaction is over late is read, though later ones were committed before.', async () => {
    const org = await db.seedOrganization({ credits: 100, users: { alice: 50, bob: 20 } })
    const other = await db.seedOrganization({ credits: 100, users: { carol: 50 } })
    const start = await here()
    const slow = await session()
    await slow.query('begin')
    await slow.query(deduct, [org.id, 'alice', 1, 'slow'])
    await db.pool.query(deduct, [other.id, 'carol', 2, 'quick'])

    // The quick one is committed, and is not told before the slow one, which may still appear in front of it.
    expect(await readEvents(db.database, start, all)).toEqual([])
    await slow.query('commit')
    const seen = await read(start)
    expect(seen.map(({ data, credits }) => [data.service_type, credits])).toEqual([
      ['slow', '1.000000'],
      ['quick', '2.000000'],
    ])
  })

  test('A page of events reads few blocks, however many events wait behind it and whatever the planner knows of them.', async () => {
    const { id } = await db.seedOrganization({ credits: 100, users: {} })
    const start = await here()
    await db.pool.query(
      `insert into tollgate.outbox_events (type, org_id, data, sequence)
       select 'waits', $1, '{}', $2::bigint - g from generate_series(1, 20000) g`,
      [id, start.sequence],
    )
    const client = await session()
    await client.query('discard plans')
    for (const organization of [null, id]) {
      const { rows } = await client.query(
        `explain (analyze, buffers, format json)
         select * from tollgate.outbox_read($1, 0, '', array[1, 2, 3], $2, 100)`,
        [String(BigInt(start.sequence) - 30_000n), organization],
      )
      const { Plan: plan } = rows[0]['QUERY PLAN'][0]
      expect(plan['Actual Rows']).toBe(100)
      // All of the rows take over 300; a page of them through the index less than 20, the catalog the rest.
      expect(plan['Shared Hit Blocks'] + plan['Shared Read Blocks']).toBeLessThan(150)
    }
  })

  test('A transaction that is undone delays nobody for ever.', async () => {
    const org = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
    const start = await here()
    const slow = await session()
    await slow.query('begin')
    await slow.query('select add_credits_to_pool($1, 5)', [org.id])
    await slow.query('rollback')
    await db.pool.query(deduct, [org.id, 'alice', 2, 'after'])
    expect((await read(start)).map(({ type }) => type)).toEqual(['charge.created'])
  })

  test('Whatever the order of commits, pages of any size give every event once, in one order.', async () => {
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 500, bob: 400 } })
    const start = await here()
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let call = 0; call < 12; call++) {
        const client = await db.pool.connect()
        await client.query('begin')
        await client.query(deduct, [org.id, writer % 2 === 0 ? 'alice' : 'bob', 1, `call ${writer} ${call}`])
        if (call % 4 === 0) await client.query('select add_credits_to_pool($1, 1)', [org.id])
        await client.query(call % 5 === 4 ? 'rollback' : 'commit')
        client.release()
      }
    })
    const seen: string[] = []
    let at = start
    const follow = async (pages: (after: Place) => ReturnType<typeof read>) => {
      for (let page = await pages(at); page.length > 0; page = await pages(at)) {
        for (const [index, event] of page.entries()) expect(isAfter(event, page[index - 1] ?? at)).toBe(true)
        seen.push(...page.map(({ id }) => id))
        at = page.at(-1)!
      }
    }
    const three = { ...all, most: 3 }
    let isWritten = false
    const written = Promise.all(writers).then(() => {
      isWritten = true
    })
    while (!isWritten) await follow((after) => readEvents(db.database, after, three))
    await written
    await follow((after) => read(after, three))

    const { rows } = await db.pool.query<{ id: string }>(
      `select id::text from credit_usage_attribution where org_id = $1
       union all select 'movement-' || id || '-' || left((select ledger_id::text from tollgate.ledger_identity), 8)
         from tollgate.ledger_journal where org_id = $1 and sequence > $2::bigint`,
      [org.id, start.sequence],
    )
    expect(new Set(seen).size).toBe(seen.length)
    expect(new Set(seen)).toEqual(new Set(rows.map(({ id }) => id)))
  })

  test('On another server, whose transactions are counted anew, what is booked comes after what was copied.', async () => {
    const org = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
    // As a dump leaves it: rows with large numbers, and the number of another server.
    await db.pool.query(
      `insert into credit_usage_attribution (call_id, org_id, user_id, credits_used, service_type, sequence)
        values ($1, $2, 'alice', 0, 'copied', 1000000000000)`,
      [randomUUID(), org.id],
    )
    const start = { sequence: '999999999999', source: 0, rowId: '' }
    expect(await adoptServer(db.database)).toBe(false)
    expect(await readEvents(db.database, start, all)).toEqual([])
    await db.pool.query('update tollgate.ledger_identity set server = 1')

    expect(await adoptServer(db.database)).toBe(true)
    expect(await adoptServer(db.database)).toBe(false)
    await db.pool.query(deduct, [org.id, 'alice', 3, 'booked here'])
    await db.pool.query('select add_credits_to_pool($1, 5)', [org.id])
    const seen = await read(start)
    expect(seen.map(({ type, data }) => data.service_type ?? type)).toEqual([
      'copied',
      'booked here',
      'credits.purchased',
    ])
  })
})

test('In a database into which rows were put back, what is booked comes after them on the same server too.', async () => {
  const org = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
  await db.pool.query('update tollgate.ledger_identity set sequence_base = 5000000000000')
  expect(await adoptServer(db.database)).toBe(true)
  expect(await adoptServer(db.database)).toBe(false)
  const start = { sequence: '5000000000000', source: 0, rowId: '' }
  await db.pool.query(deduct, [org.id, 'alice', 3, 'booked here'])
  expect((await read(start)).map(({ data }) => data.service_type)).toEqual(['booked here'])
})

test('A charge is told with its amounts as decimal strings, and nothing that its caller wrote into it.', async () => {
  const org = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
  const start = await here()
  await db.pool.query("select deduct_credits($1, 'alice', 0.000001, 'chat', 'gpt-4o', 'req-1', $2)", [
    org.id,
    { prompt: 'a secret of mine' },
  ])
  const [event] = await read(start)
  expect(event).toMatchObject({
    source: CHARGES,
    type: 'charge.created',
    organizationId: org.id,
    userId: 'alice',
    credits: '0.000001',
    data: {
      credits: '0.000001',
      api_cost: '0',
      service_type: 'chat',
      model: 'gpt-4o',
      request_id: 'req-1',
      cause: 'call',
    },
  })
  expect(event!.id).toBe(event!.rowId)
  expect(JSON.stringify(event)).not.toContain('secret')
})

test('Purchases and allocations are told with what they did to each balance.', async () => {
  const start = await here()
  const org = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
  const seen = await read(start, { ...all, organizationId: org.id })
  expect(seen.map(({ type, userId, data }) => [type, userId, data.pool_total, data.allocation_allocated])).toEqual([
    ['credits.purchased', null, '100', '0'],
    ['credits.allocated', 'alice', '0', '50'],
  ])
})
