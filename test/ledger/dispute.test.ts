/** Charges that were disputed: each is settled once, up or down, beside whatever else was corrected. */
import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { balances, close, hold, inLine, refusal } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()
const seed = () => db.seedOrganization({ credits: 1_000, users: { alice: 500 } })

async function settle(callId: string, charge: number, apiCost = charge / 1_000): Promise<unknown> {
  const { rows } = await db.pool.query(
    "select outcome, trim_scale(charged) as charged from tollgate.ledger_settle_dispute($1, $2, $3, 'operator')",
    [callId, charge, apiCost],
  )
  return rows[0]
}

/** A call of alice, charged 40 and disputed, unless said otherwise. */
async function disputedCall(org: string, provenance = 'disputed', limits: Parameters<typeof hold>[2]['limits'] = []) {
  const held = await hold(db.pool, org, { output: 50, ...(limits.length === 0 ? {} : { limits }) })
  await close(db.pool, org, held.callId, 40, 'alice', provenance)
  return held.callId
}

const rowsOf = async (callId: string) =>
  (
    await db.pool.query(
      `select entry, cause, trim_scale(credits_used) as credits, trim_scale(api_cost) as api_cost, trim_scale(markup_applied) as markup,
        outcome from credit_usage_attribution where call_id = $1 order by created_at, entry`,
      [callId],
    )
  ).rows

describe('a disputed charge', () => {
  test('A charge that was too low becomes the true one by a correction row.', async () => {
    const org = await seed()
    const callId = await disputedCall(org.id)
    expect(await settle(callId, 100, 0.06)).toEqual({ outcome: 'settled', charged: '100' })
    expect(await rowsOf(callId)).toEqual([
      { entry: 'charge', cause: 'call', credits: '40', api_cost: '0.04', markup: '0', outcome: 'answered' },
      {
        entry: 'correction',
        cause: 'dispute',
        credits: '60',
        api_cost: '0.02',
        markup: '0.04',
        outcome: 'dispute_settled',
      },
    ])
    expect(await balances(db.pool, org.id)).toMatchObject({ pool: { used: '100' }, users: { alice: { used: '100' } } })
  })

  test('A charge that was too high is given back by a row of the journal, which says by whom and what the provider takes.', async () => {
    const org = await seed()
    const callId = await disputedCall(org.id)
    expect(await settle(callId, 10, 0.0075)).toEqual({ outcome: 'settled', charged: '10' })
    const { rows } = await db.pool.query(
      `select cause, trim_scale(pool_total) as pool, trim_scale(allocation_allocated) as allocation, note
      from tollgate.ledger_journal where call_id = $1`,
      [callId],
    )
    expect(rows).toEqual([
      {
        cause: 'dispute',
        pool: '30',
        allocation: '30',
        note: 'dispute settled by operator: the provider takes $0.0075',
      },
    ])
    expect(await balances(db.pool, org.id)).toMatchObject({
      pool: { total: '1030', allocated: '530', used: '40' },
      users: { alice: { allocated: '530', used: '40' } },
    })
  })

  test('A disputed charge is settled once, as charged too, whoever says it again and at once.', async () => {
    const org = await seed()
    const callId = await disputedCall(org.id)
    const lock = `select from tollgate.ledger_holds where call_id = '${callId}' for update`
    const outcomes = await inLine(db.pool, lock, 3, () =>
      Promise.all([settle(callId, 40), settle(callId, 40), settle(callId, 40)]),
    )
    expect(outcomes.map((found) => (found as { outcome: string }).outcome).sort()).toEqual([
      'already_settled',
      'already_settled',
      'settled',
    ])
    expect(await settle(callId, 90)).toEqual({ outcome: 'already_settled', charged: '40' })
  })

  test('A disputed charge moves the limits the call was counted in by the difference, and no call.', async () => {
    const org = await seed()
    const window = '2030-01-01T00:00:00Z'
    const limits = [
      { kind: 'team', id: org.id, window_start: window, limit_amount: 100 },
      { kind: 'quota', id: org.id, window_start: window, unit: 'calls' as const, limit_amount: 5 },
    ]
    await settle(await disputedCall(org.id, 'disputed', limits), 55)
    const { rows } = await db.pool.query(
      'select kind, trim_scale(held) as held, trim_scale(used) as used from tollgate.ledger_limits where id = $1 order by kind',
      [org.id],
    )
    expect(rows).toEqual([
      { kind: 'quota', held: '0', used: '1' },
      { kind: 'team', held: '0', used: '55' },
    ])
  })

  test('A call that was recovered before has both corrections.', async () => {
    const org = await seed()
    const { callId } = await hold(db.pool, org.id, { output: 50 })
    await close(db.pool, org.id, callId, null)
    await close(db.pool, org.id, callId, 30, 'alice', 'disputed')
    expect(await settle(callId, 45)).toEqual({ outcome: 'settled', charged: '45' })
    expect((await rowsOf(callId)).map(({ cause, credits }) => `${cause} ${credits}`)).toEqual([
      'call 0',
      'recovery 30',
      'dispute 15',
    ])
    expect(await close(db.pool, org.id, callId, 99)).toMatchObject({ charged: '45' })
  })

  test('A disputed charge whose recovery was too high is found by a row of nothing, and settled.', async () => {
    const org = await seed()
    const { callId } = await hold(db.pool, org.id, { output: 50 })
    await close(db.pool, org.id, callId, 50)
    await db.pool.query("update tollgate.ledger_holds set state = 'recovered' where call_id = $1", [callId])
    await close(db.pool, org.id, callId, 20, 'alice', 'disputed')
    expect(await settle(callId, 35)).toEqual({ outcome: 'settled', charged: '35' })
    expect((await rowsOf(callId)).map(({ cause, credits }) => `${cause} ${credits}`)).toEqual([
      'call 50',
      'recovery 0',
      'dispute 15',
    ])
  })
})

describe('nothing is settled', () => {
  test.each(['provider_usage', 'estimated', 'recovered'])(
    'A charge that is %s is not settled as a dispute.',
    async (provenance) => {
      const org = await seed()
      const callId = await disputedCall(org.id, provenance)
      expect(await settle(callId, 1)).toEqual({ outcome: 'not_disputed', charged: '40' })
      expect(await rowsOf(callId)).toHaveLength(1)
    },
  )

  test('A call that runs, or that nobody knows, is not settled as a dispute.', async () => {
    const org = await seed()
    const running = await hold(db.pool, org.id, { output: 50 })
    expect(await settle(running.callId, 1)).toEqual({ outcome: 'unknown', charged: null })
    expect(await settle(randomUUID(), 1)).toEqual({ outcome: 'unknown', charged: null })
    await close(db.pool, org.id, running.callId, null)
  })

  test.each([
    [-1, 0, 'Invalid amount: credits must not be negative, got -1'],
    [1, -0.5, "Invalid amount: the provider's cost must not be negative, got -0.5"],
  ])('%s credits of which the provider takes %s dollars are refused.', async (charge, apiCost, message) => {
    const org = await seed()
    const callId = await disputedCall(org.id)
    expect((await refusal(settle(callId, charge, apiCost))).message).toBe(message)
  })
})
