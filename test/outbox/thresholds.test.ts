/** What runs low is told once, when it does, in the transaction that makes it so. */
import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { noteDispute } from '../../src/billing/payment-disputes.ts'
import { forgetOldEvents } from '../../src/outbox/forget-old-events.ts'
import { noteUnusualSpending } from '../../src/outbox/unusual-spending.ts'
import { changing } from '../../src/vault/audit-log.ts'
import { close, closeBatch, hold, holdBatch } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()
const deduct = 'select deduct_credits($1, $2, $3, $4)'

interface Told {
  type: string
  user_id: string | null
  data: Record<string, unknown>
}

async function toldOf(orgId: string): Promise<Told[]> {
  const { rows } = await db.pool.query<Told>(
    'select type, user_id, data from tollgate.outbox_events where org_id = $1 order by sequence, created_at',
    [orgId],
  )
  return rows
}
const types = async (orgId: string) => (await toldOf(orgId)).map(({ type }) => type)

/** One call of alice that costs so much. */
async function call(orgId: string, credits: number, extra: object = {}): Promise<void> {
  const { callId } = await hold(db.pool, orgId, { output: credits, ...extra })
  await close(db.pool, orgId, callId, credits)
}

describe('a balance', () => {
  test('A balance that falls below a fifth of what was bought is reported once, and once more when nothing is left.', async () => {
    const org = await db.seedOrganization({ credits: 100, users: { alice: 100 } })
    await call(org.id, 79.999999)
    expect(await types(org.id)).toEqual([])
    await call(org.id, 0.000001)
    await call(org.id, 5)
    const told = await toldOf(org.id)
    expect(told.filter(({ type }) => type.startsWith('balance'))).toEqual([
      { type: 'balance.low', user_id: null, data: { left: '20', low_at: '20', used: '80' } },
    ])
    await call(org.id, 15)
    expect((await types(org.id)).toSorted(inTold)).toEqual([
      'allocation.exhausted',
      'allocation.near_end',
      'balance.exhausted',
      'balance.low',
    ])
  })

  test('A balance that was filled up becomes low again, at a fifth of what there was then.', async () => {
    const org = await db.seedOrganization({ credits: 100, users: { alice: 100 } })
    await call(org.id, 90)
    await db.pool.query('select add_credits_to_pool($1, 40)', [org.id])
    await db.pool.query("select allocate_credits_to_user($1, 'alice', 40)", [org.id])
    await call(org.id, 40)
    const lows = (await toldOf(org.id)).filter(({ type }) => type === 'balance.low')
    expect(lows.map(({ data }) => [data.left, data.low_at])).toEqual([
      ['10', '20'],
      ['10', '10'],
    ])
  })

  test('Calls of one batch that cross a threshold together report it once.', async () => {
    const org = await db.seedOrganization({ credits: 100, users: { alice: 100 } })
    const calls = Array.from({ length: 9 }, () => ({ callId: randomUUID(), output: 10 }))
    await holdBatch(db.pool, org.id, calls)
    await closeBatch(
      db.pool,
      org.id,
      calls.map(({ callId }) => ({ callId, charge: 10, user: 'alice' })),
    )
    expect((await types(org.id)).toSorted(inTold)).toEqual(['allocation.near_end', 'balance.low'])
  })

  test('A transaction that is undone reports nothing.', async () => {
    const org = await db.seedOrganization({ credits: 100, users: { alice: 100 } })
    const client = await db.pool.connect()
    await client.query('begin')
    await client.query(deduct, [org.id, 'alice', 90, 'valuation'])
    await client.query('rollback')
    client.release()
    expect(await types(org.id)).toEqual([])
  })
})

test('An allocation of which four fifths are used is reported once, and again when it is used up.', async () => {
  const org = await db.seedOrganization({ credits: 1_000, users: { alice: 10, bob: 10 } })
  await call(org.id, 7.9)
  await call(org.id, 0.1)
  await call(org.id, 1)
  await call(org.id, 1)
  expect(await toldOf(org.id)).toEqual([
    {
      type: 'allocation.near_end',
      user_id: 'alice',
      data: { allocated: '10', used: '8', next_reset: expect.any(String) },
    },
    {
      type: 'allocation.exhausted',
      user_id: 'alice',
      data: { allocated: '10', used: '10', next_reset: expect.any(String) },
    },
  ])
})

describe('a limit', () => {
  test('A call quota near its end is reported once a window, with its user.', async () => {
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const id = `${org.id}/alice/day`
    const limits = [{ kind: 'quota', id, window: 'day' as const, unit: 'calls' as const, limit_amount: 5 }]
    for (let n = 0; n < 3; n++) await call(org.id, 1, { limits })
    expect(await types(org.id)).toEqual([])
    for (let n = 0; n < 2; n++) await call(org.id, 1, { limits })
    expect(await toldOf(org.id)).toMatchObject([
      { type: 'quota.near_end', user_id: 'alice', data: { kind: 'quota', id, unit: 'calls', amount: '5', used: '4' } },
      { type: 'quota.reached', user_id: 'alice', data: { amount: '5', used: '5' } },
    ])
    await db.moveClock('1 day')
    for (let n = 0; n < 4; n++) await call(org.id, 1, { limits })
    expect(await types(org.id)).toEqual(['quota.near_end', 'quota.reached', 'quota.near_end'])
  })

  test('A run that has used four fifths of its credits is reported once, by its name.', async () => {
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const id = randomUUID()
    await db.pool.query(
      `insert into tollgate.runs (id, chain, org_id, user_id, name, expires_at)
        values ($1, array[$1::uuid], $2, 'alice', 'nightly', tollgate.tollgate_now() + interval '1 hour')`,
      [id, org.id],
    )
    const limits = [{ kind: 'run', id, window_start: '1970-01-01T00:00:00Z', limit_amount: 10 }]
    for (let n = 0; n < 9; n++) await call(org.id, 1, { limits })
    expect(await toldOf(org.id)).toMatchObject([
      { type: 'run.near_end', user_id: 'alice', data: { kind: 'run', id, name: 'nightly', amount: '10', used: '8' } },
    ])
    // A run that is closed has no room for calls any more; that is no news.
    await db.pool.query('update tollgate.ledger_limits set limit_amount = 0 where id = $1', [id])
    expect((await types(org.id)).length).toBe(1)
  })

  test('A budget that is lowered below what its key has used is reported, and one that has no amount never is.', async () => {
    const org = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    await call(org.id, 10, { keyId: org.keyIds.alice })
    expect(await types(org.id)).toEqual([])
    await db.pool.query("update tollgate.ledger_limits set limit_amount = 12 where kind = 'key' and id = $1", [
      org.keyIds.alice,
    ])
    expect(await toldOf(org.id)).toMatchObject([
      { type: 'limit.near_end', user_id: 'alice', data: { kind: 'key', used: '10' } },
    ])
  })
})

test('A change of a key is reported with who made it, and without any part of the key.', async () => {
  const org = await db.seedOrganization({ credits: 1, users: { alice: 1 } })
  const by = { actor: 'carol', ip: null, requestId: null }
  await changing(db.database, by, 'key.saved', (transaction) =>
    transaction.updateTable('tollgate.api_keys').set({ is_active: false }).where('id', '=', org.keyIds.alice).execute(),
  )
  expect(await toldOf(org.id)).toEqual([
    {
      type: 'key.changed',
      user_id: null,
      data: { action: 'api_key.revoked', subject: `api_key/${org.keyIds.alice}`, actor: 'carol' },
    },
  ])
})

test('A disputed payment is reported once, however often its events come.', async () => {
  const org = await db.seedOrganization({ credits: 1, users: { alice: 1 } })
  const payment = `cs_${randomUUID()}`
  await db.pool.query('insert into tollgate.payments (id, org_id, amount, credits) values ($1, $2, 10, 0)', [
    payment,
    org.id,
  ])
  const dispute = { id: `dp_${payment}`, cents: 1_000, isOver: false }
  for (let n = 0; n < 2; n++)
    await db.database.query.transaction().execute((transaction) => noteDispute(transaction, payment, dispute))
  expect(await toldOf(org.id)).toEqual([
    { type: 'payment.disputed', user_id: null, data: { payment, dispute: dispute.id, dollars: '10.00' } },
  ])
})

test('An organization that spends three times what is usual is reported once a day; a new one is not.', async () => {
  const [old, fresh] = [
    await db.seedOrganization({ credits: 100_000, users: { alice: 50_000 } }),
    await db.seedOrganization({ credits: 100_000, users: { alice: 50_000 } }),
  ]
  for (let day = 0; day < 3; day++) {
    await db.pool.query(deduct, [old.id, 'alice', 1_000, 'valuation'])
    await db.moveClock('1 day')
  }
  await db.pool.query(deduct, [old.id, 'alice', 3_000, 'valuation'])
  await db.pool.query(deduct, [fresh.id, 'alice', 3_001, 'valuation'])
  expect(await noteUnusualSpending(db.database)).toBe(0)
  await db.pool.query(deduct, [old.id, 'alice', 0.000001, 'valuation'])
  expect(await noteUnusualSpending(db.database)).toBe(1)
  expect(await noteUnusualSpending(db.database)).toBe(0)
  expect(await toldOf(old.id)).toMatchObject([{ type: 'spend.unusual', data: { spent: '3000.000001', usual: '1000' } }])
  expect(await types(fresh.id)).toEqual([])
})

test('Events that are not rows of the books are deleted after thirty days.', async () => {
  const org = await db.seedOrganization({ credits: 100, users: { alice: 100 } })
  await call(org.id, 85)
  await db.moveClock('29 days')
  await forgetOldEvents(db.database, 30)
  expect((await types(org.id)).length).toBe(2)
  await db.moveClock('2 days')
  await forgetOldEvents(db.database, 30)
  expect(await types(org.id)).toEqual([])
})

function inTold(a: string, b: string): number {
  return a < b ? -1 : 1
}
